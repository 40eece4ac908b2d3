#include "engine/c_api/error_code.h"

namespace ombus::engine {
namespace {

// A message begins with the call that failed.
bool IsOf(const Status& status, const char* call) { return status.message().starts_with(call); }

}  // namespace

int CreateError(const Status& status) {
  if (status.code() == StatusCode::kInvalidArgument) return OM_ERR_BUS_INIT;
  return IsOf(status, "mmap") ? OM_ERR_BUS_SHM_MAP : OM_ERR_BUS_SHM_CREATE;
}

int OpenError(const Status& status) {
  if (IsOf(status, "mmap")) return OM_ERR_BUS_SHM_MAP;
  switch (status.code()) {
    case StatusCode::kUnavailable:  // being created: its magic, written last, is not there yet
    case StatusCode::kCorrupt:
      return OM_ERR_BUS_MAGIC_MISMATCH;
    case StatusCode::kVersionMismatch:
      return OM_ERR_BUS_VERSION_MISMATCH;
    case StatusCode::kAlreadyExists:
      return OM_ERR_BUS_CONSUMER_ID;
    case StatusCode::kInvalidArgument:
      return IsOf(status, "consumer_index") ? OM_ERR_BUS_CONSUMER_ID : OM_ERR_BUS_SHM_OPEN;
    default:
      return OM_ERR_BUS_SHM_OPEN;
  }
}

int SocketError(const Status& status, int refused) {
  switch (status.code()) {
    case StatusCode::kResourceExhausted:
    case StatusCode::kUnsupported:
      return OM_ERR_BUS_TCP_IO;
    default:
      return refused;
  }
}

}  // namespace ombus::engine

const char* om_bus_error_string(int code) {
  switch (code) {
    case 0:
      return "no error";
    case OM_ERR_BUS_INIT:
      return "an argument is missing or wrong";
    case OM_ERR_BUS_SHM_CREATE:
      return "cannot create: a live producer owns the name, no room, or not permitted";
    case OM_ERR_BUS_SHM_MAP:
      return "cannot map the shared memory";
    case OM_ERR_BUS_SHM_OPEN:
      return "cannot open: not there, or not permitted";
    case OM_ERR_BUS_NOT_POW2:
      return "capacity is not a power of two";
    case OM_ERR_BUS_CONSUMER_ID:
      return "consumer index out of range or taken";
    case OM_ERR_BUS_RECORD_TOO_LARGE:
      return "record too large for a slot";
    case OM_ERR_BUS_MAGIC_MISMATCH:
      return "not what it should be: wrong magic or damaged";
    case OM_ERR_BUS_VERSION_MISMATCH:
      return "made by another version of the library";
    case OM_ERR_BUS_CRC_MISMATCH:
      return "damaged: its CRC does not match";
    case OM_ERR_BUS_GAP_DETECTED:
      return "gap: sequences before this record are missing";
    case OM_ERR_BUS_EMPTY:
      return "nothing to read";
    case OM_ERR_BUS_TCP_BIND:
      return "cannot bind the address";
    case OM_ERR_BUS_TCP_CONNECT:
      return "cannot connect";
    case OM_ERR_BUS_TCP_SEND:
      return "cannot send";
    case OM_ERR_BUS_TCP_RECV:
      return "cannot receive";
    case OM_ERR_BUS_TCP_DISCONNECTED:
      return "disconnected";
    case OM_ERR_BUS_TCP_PROTOCOL:
      return "the peer sent what is no frame";
    case OM_ERR_BUS_TCP_IO:
      return "the I/O back end failed or is not to be had";
    case OM_ERR_BUS_TCP_MAX_CLIENTS:
      return "too many clients";
    case OM_ERR_BUS_EPOCH_CHANGED:
      return "another producer owns the stream now";
    case OM_ERR_BUS_CONSUMER_STALE:
      return "stale: the producer went on without this consumer";
    case OM_ERR_BUS_TCP_SLOW_WARNING:
      return "the server warns that this client is slow";
    case OM_ERR_BUS_REORDER_DETECTED:
      return "reorder: a sequence below the one expected";
    default:
      return "unknown error";
  }
}
