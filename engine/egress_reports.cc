#include "engine/egress_reports.h"

#include <poll.h>

#include <algorithm>
#include <string>
#include <utility>

namespace ombus::engine {

Result<std::unique_ptr<EgressReports>> EgressReports::Create() {
  Result<std::unique_ptr<Bell>> bell = Bell::Create();
  if (!bell.ok()) return bell.status();
  return std::unique_ptr<EgressReports>(new EgressReports(std::move(*bell)));
}

void EgressReports::Tell(std::vector<ServerEvent> events) {
  if (events.empty()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (ServerEvent& event : events) {
    if (event.kind == ServerEvent::Kind::kNote) {
      if (event.text == last_note_) continue;
      last_note_ = event.text;
    }
    if (events_.size() < kEventsMax) {
      events_.push_back(std::move(event));
    } else {
      ++untold_;
    }
  }
}

void EgressReports::Fail(const Status& status) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (status_.ok()) status_ = status;
  }
  FailForLackOfMemory();
}

void EgressReports::FailForLackOfMemory() noexcept {
  failed_.store(true, std::memory_order_release);
  bell_->RingIf(kFailure);
}

std::vector<ServerEvent> EgressReports::TakeEvents() {
  std::vector<ServerEvent> taken;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (untold_ != 0) {
    events_.push_back(
        {ServerEvent::Kind::kNote, "egress threads: " + std::to_string(std::exchange(untold_, 0)) +
                                       " events are not told, there were too many at once"});
  }
  taken.swap(events_);
  return taken;
}

Status EgressReports::status() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!status_.ok()) return status_;
  return Status(StatusCode::kResourceExhausted,
                "egress thread: ENOMEM; serve fewer clients, or raise the limit (ulimit -v)");
}

void EgressReports::Sleep(int other_fd, uint64_t timeout_ns) const {
  pollfd wait[2] = {{bell_->fd(), POLLIN, 0}, {other_fd, POLLIN, 0}};
  const uint64_t ns = std::min<uint64_t>(timeout_ns, 1'000'000'000);
  const timespec time{static_cast<time_t>(ns / 1'000'000'000),
                      static_cast<long>(ns % 1'000'000'000)};
  (void)ppoll(wait, other_fd < 0 ? 1 : 2, &time, nullptr);
}

}  // namespace ombus::engine
