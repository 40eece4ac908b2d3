// SystemError: a failed system call as a Status, "call "object": ERRNO; remedy".
//
// Threads: none of its own; needs no state.
#ifndef OMBUS_RING_SYSTEM_ERROR_H_
#define OMBUS_RING_SYSTEM_ERROR_H_

#include <string>
#include <string_view>

#include "ombus/status.h"

namespace ombus {

// The code follows from the errno (EACCES: kPermissionDenied, ENOENT: kNotFound, ENOSPC and the
// like: kResourceExhausted, else kInternal); the remedy is the caller's, or one that fits.
Status SystemError(std::string_view call, std::string_view object, int error,
                   std::string_view remedy = {});

}  // namespace ombus

#endif  // OMBUS_RING_SYSTEM_ERROR_H_
