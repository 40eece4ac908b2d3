#include "net/admission.h"

#include <netinet/in.h>

#include <cstring>

namespace ombus::net {

Admission::Address Admission::Of(const sockaddr_storage& peer) {
  uint64_t bits = 0;
  if (peer.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(peer);
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
    std::memcpy(&bits, v6.sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 8);
    return {!mapped, bits};
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(peer);
  std::memcpy(&bits, &v4.sin_addr, sizeof(v4.sin_addr));
  return {false, bits};
}

Admission::Answer Admission::Enter(const Address& address) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (total_max_ != 0 && total_ >= total_max_) return Answer::kFull;
  if (per_address_max_ != 0) {
    uint32_t& count = counts_[address];
    if (count >= per_address_max_) return Answer::kAddressFull;
    ++count;
  }
  ++total_;
  return Answer::kIn;
}

void Admission::Depart() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (total_ != 0) --total_;
}

void Admission::Leave(const Address& address) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = counts_.find(address);
  if (found != counts_.end() && --found->second == 0) counts_.erase(found);
}

uint32_t Admission::total() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return total_;
}

uint32_t Admission::from(const Address& address) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = counts_.find(address);
  return found == counts_.end() ? 0 : found->second;
}

bool Admission::ShouldTell(uint64_t now_ns, uint64_t* untold) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return refusals_.Now(now_ns, untold);
}

}  // namespace ombus::net
