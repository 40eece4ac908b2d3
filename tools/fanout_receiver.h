// FanoutReceiver: the clients of one sender in `ombus bench --mode fanout`, all in one thread, read
// busily in turn. What costs here is the kernel's copy; the bytes are checked as well: of each read
// the first and the last whole frame, or with `check_all` every frame.
//
// Where a frame must be, and which it must be, follows from how many bytes came before it: a lost,
// doubled or reordered byte shifts all that follows.
#ifndef OMBUS_TOOLS_FANOUT_RECEIVER_H_
#define OMBUS_TOOLS_FANOUT_RECEIVER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "net/socket.h"
#include "ombus/status.h"

namespace ombus::tools {

class FanoutReceiver {
 public:
  // wrap_frames: sequences begin again at 1 after so many frames; 0: they count on.
  FanoutReceiver(uint32_t payload_bytes, uint32_t wrap_frames, bool check_all);

  // hello: each says it, and so gets WELCOME before all else.
  Status Connect(uint16_t port, uint32_t clients, bool hello);
  // Connections that neither say nor read anything.
  Status ConnectIdle(uint16_t port, uint32_t clients);
  // One read of each client. The bytes they gave; or what is wrong.
  Result<uint64_t> ReadAll();

 private:
  struct Client {
    net::UniqueFd socket;
    uint64_t bytes = 0;  // read so far
    size_t welcome_left = 0;
  };

  Status Hello(const net::UniqueFd& socket);

  // Bytes that stand at `position` of a stream.
  bool Right(std::span<const std::byte> bytes, uint64_t position);
  bool FrameRight(const std::byte* frame, uint64_t number) const;

  const uint32_t payload_bytes_;
  const uint32_t wrap_frames_;
  const bool check_all_;
  std::vector<Client> clients_;
  std::vector<net::UniqueFd> idle_;
  std::vector<std::byte> buffer_;
};

}  // namespace ombus::tools

#endif  // OMBUS_TOOLS_FANOUT_RECEIVER_H_
