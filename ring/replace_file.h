// ReplaceFile: a file's new content, all of it or the old one. Written beside it as
// PATH.tmp.PID.TID (with the time behind that where such a file is there), made to last, and
// renamed over it.
//
// Threads: any; of two that replace one file at once the file has either's bytes. Cost: two waits
// for the disk.
#ifndef OMBUS_RING_REPLACE_FILE_H_
#define OMBUS_RING_REPLACE_FILE_H_

#include <cstddef>
#include <span>
#include <string>

#include "ombus/status.h"

namespace ombus {

// kInvalidArgument, saying what it would be the path of: no file can have such a path.
Status CheckFilePath(const std::string& what, const std::string& path);

// For a path that CheckFilePath lets pass. A symbolic link at path is followed, and stays; what is
// no regular file is left alone, and an error. Permissions are handed on; a new file gets 0644,
// less the umask. On an error the old file is untouched, but if it is the folder that cannot be
// written to its disk.
Status ReplaceFile(const std::string& path, std::span<const std::byte> bytes);

}  // namespace ombus

#endif  // OMBUS_RING_REPLACE_FILE_H_
