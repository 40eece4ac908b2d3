// Admission: which of the strangers that connect may stay: so many in all, so many from one
// address. Knows numbers, not sockets.
//
// An address is an IPv4 address, or the /64 of an IPv6 one, since whoever has one of those has all
// of it. IPv4 in IPv6 (::ffff:a.b.c.d) counts as IPv4.
//
// Also how often a refusal is worth telling.
//
// Threads: any; servers that share their limits share one of these. A lock, taken where a
// connection comes or goes.
#ifndef OMBUS_NET_ADMISSION_H_
#define OMBUS_NET_ADMISSION_H_

#include <sys/socket.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "net/tell_seldom.h"

namespace ombus::net {

class Admission {
 public:
  // The first half says which family, the second the address or prefix.
  using Address = std::pair<bool, uint64_t>;
  static Address Of(const sockaddr_storage& peer);

  // 0: no limit.
  Admission(uint32_t total_max, uint32_t per_address_max)
      : total_max_(total_max), per_address_max_(per_address_max) {}

  enum class [[nodiscard]] Answer : uint8_t{kIn, kFull, kAddressFull};
  // Counts a connection in, unless there are as many as may be, or its address has all it may have.
  Answer Enter(const Address& address);
  // Of one that was counted in: it is served no longer, which makes room for another in all.
  void Depart();
  // It is closed, which makes room for another from its address.
  void Leave(const Address& address);
  uint32_t total() const;
  uint32_t from(const Address& address) const;

  // Whether to tell of a refusal now, and of how many that were not told since the last.
  bool ShouldTell(uint64_t now_ns, uint64_t* untold);

 private:
  const uint32_t total_max_, per_address_max_;
  mutable std::mutex mutex_;  // over all that follows
  uint32_t total_ = 0;
  std::map<Address, uint32_t> counts_;  // empty without a limit: who needs none pays nothing
  TellSeldom refusals_;
};

}  // namespace ombus::net

#endif  // OMBUS_NET_ADMISSION_H_
