// Status and Result: how every call of ombus that is off the hot path reports what went wrong.
//
// A failed call says four things in its message: the call, the object, the number and the remedy,
// as in `shm_open "/om-0": EACCES; check the group of /dev/shm`. The code is for programs, the
// message for people. Standard types only, so that programs that use ombus need no other library.
//
//   ombus::Result<std::unique_ptr<ombus::Producer>> made = ombus::Producer::Create(options);
//   if (!made.ok()) { std::fprintf(stderr, "%s\n", made.status().message().c_str()); return 1; }
//   ombus::Producer& producer = **made;
//
// Threads: values; use each from one thread at a time. Cost: an ok Status does not allocate.
#ifndef OMBUS_STATUS_H_
#define OMBUS_STATUS_H_

#include <cassert>
#include <optional>
#include <string>
#include <utility>

// Marks what the shared library exports.
#define OMBUS_API __attribute__((visibility("default")))

namespace ombus {

enum class StatusCode : int {
  kOk = 0,
  kInvalidArgument,    // the caller's value is wrong whatever the state of the system
  kNotFound,           // no such stream, host or file
  kAlreadyExists,      // somebody else lives there: a live producer, a bound port, a taken index
  kPermissionDenied,   // the system refused
  kResourceExhausted,  // memory, /dev/shm, descriptors, consumer lines
  kUnavailable,        // not now: try again (object being initialised, peer unreachable)
  kCorrupt,            // what is there is not what it says it is
  kVersionMismatch,    // a well-formed object of another version
  kUnsupported,        // this kernel or this build cannot do it
  kInternal,           // a system call failed in a way not foreseen; errno is in the message
};

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

// A value of type T, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Status status) : status_(std::move(status)) { assert(!status_.ok()); }  // NOLINT: likewise

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // Only when ok().
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace ombus

#endif  // OMBUS_STATUS_H_
