#include "engine/stream_feed.h"

#include <unistd.h>

#include <utility>

#include "ombus/ring_snapshot.h"
#include "ring/wake.h"

namespace ombus::engine {

bool MayHeal(StatusCode code) {
  switch (code) {
    case StatusCode::kNotFound:           // its producer has not started yet
    case StatusCode::kUnavailable:        // it is being created
    case StatusCode::kAlreadyExists:      // the line will be left
    case StatusCode::kResourceExhausted:  // a line will be left, memory be freed
      return true;
    default:
      return false;
  }
}

Status StreamFeed::TryAttach(uint64_t now_ns) {
  if (first_attempt_ns_ == 0) first_attempt_ns_ = now_ns;
  if (!retry_.due(now_ns)) return Status();
  const bool awaited = was_attached_ || was_absent_;
  Result<std::unique_ptr<Consumer>> opened = Consumer::Open(
      {.name = stream_, .start = awaited ? ConsumerStart::kEpochStart : ConsumerStart::kLive});
  if (!opened.ok()) return OnRefusal(opened.status(), now_ns);
  consumer_ = std::move(*opened);
  was_attached_ = true;
  complaint_.clear();
  last_complaint_.clear();
  ArrangeWake();
  return Status();
}

// Who has clients keeps them, whatever the stream's name stands for at the moment: errors end the
// relay only before its first attachment.
Status StreamFeed::OnRefusal(const Status& refusal, uint64_t now_ns) {
  if (!was_attached_) {
    if (!MayHeal(refusal.code())) return refusal;
    if (now_ns - first_attempt_ns_ >= wait_ns_) return refusal;
  }
  const StatusCode code = refusal.code();
  was_absent_ |= code == StatusCode::kNotFound || code == StatusCode::kUnavailable;
  retry_.OnFailure(now_ns);
  if (refusal.message() != last_complaint_) complaint_ = refusal.message();
  return Status();
}

std::string StreamFeed::TakeComplaint() {
  if (complaint_.empty()) return "";
  last_complaint_ = complaint_;
  return std::exchange(complaint_, "");
}

StreamFeed::~StreamFeed() {
  Detach();
  if (wake_fd_ < 0) return;
  wake_->Remove(wake_fd_);
  close(wake_fd_);
}

// The descriptor stays from one attachment to the next: to close it holds up all clients.
Status StreamFeed::OpenWake() {
  if (wake_fd_ >= 0) return Status();
  const Result<int> opened = OpenWakeDescriptor(stream_.c_str());
  if (!opened.ok()) return opened.status();
  const Status added = wake_->Add(*opened);
  if (added.ok()) {
    wake_fd_ = *opened;
  } else {
    close(*opened);
  }
  return added;
}

void StreamFeed::ArrangeWake() {
  Status status = OpenWake();
  if (status.ok()) status = consumer_->WakeDescriptor(wake_fd_).status();
  wakes_ = status.ok();
  wake_note_ = status.message();
}

void StreamFeed::Detach() {
  consumer_.reset();
  retry_.OnSuccess();
}

void StreamFeed::OnClosed(uint64_t now_ns) {
  if (!retry_.due(now_ns)) return;
  const bool gone = ReadRingSnapshot(stream_).status().code() == StatusCode::kNotFound;
  if (gone || consumer_->replaced()) {
    Detach();
  } else {
    retry_.OnFailure(now_ns);
  }
}

}  // namespace ombus::engine
