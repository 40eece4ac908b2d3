// What comes between two looks at one socket is taken in once and written over by nothing: the
// client over a simulator in which bytes arrive just after a look.
#include <gtest/gtest.h>

#include <deque>
#include <functional>

#include "tests/net/sim_client.h"

namespace ombus::net {
namespace {

constexpr uint64_t kMs = 1'000'000;

class LookingBackend : public SimBackend {
 public:
  using SimBackend::SimBackend;

  int32_t ReceiveNow(SocketId id, std::span<std::byte> into) {
    const int32_t got = SimBackend::ReceiveNow(id, into);
    if (!after_looks.empty()) {
      const auto after = std::move(after_looks.front());
      after_looks.pop_front();
      after();
    }
    return got;
  }

  std::deque<std::function<void()>> after_looks;  // one is called after each look
};

class ClientLookTest : public SimClientFixture<LookingBackend> {
 protected:
  // Busy polls that find nothing, until the next is after more than a second.
  void PollInVain() {
    NullSink nobody;
    for (int i = 0; i < 10; ++i) {
      Record record;
      ASSERT_EQ(client_->Poll(&record, 0), ClientResult::kEmpty);
      ASSERT_TRUE(backend_->Turn(nobody, 101 * kMs).ok());  // time passes
    }
  }
};

// Its patience with the server is over, it looks, and finds nothing yet. With a wait of 0 it looks
// once more before it takes the server for an old one; else the receive that follows looks.
TEST_F(ClientLookTest, TakesInAllThatComesWhereItsPatienceEnds) {
  for (const uint64_t wait_ns : {uint64_t{0}, 100 * kMs}) {
    Make({.resume_from = 10});
    PollInVain();
    backend_->after_looks.emplace_back([this] {
      std::vector<std::byte> answer;
      AppendWelcome(&answer, {.first_wal_seq = 10});
      AppendRecord(&answer, 10);
      Write(answer);
    });
    backend_->after_looks.emplace_back([this] {
      std::vector<std::byte> more;
      AppendRecord(&more, 11);
      AppendRecord(&more, 12);
      Write(more);
    });
    for (uint64_t wal_seq = 10; wal_seq <= 12; ++wal_seq) {
      Record record;
      ClientResult result = ClientResult::kEmpty;
      for (int i = 0; i < 5 && result == ClientResult::kEmpty; ++i) {
        result = client_->Poll(&record, wait_ns);
      }
      ASSERT_EQ(result, ClientResult::kRecord) << "wait " << wait_ns;
      ASSERT_EQ(record.wal_seq, wal_seq);
      ASSERT_EQ(LoadWord(static_cast<const std::byte*>(record.payload)), wal_seq);
    }
  }
}

}  // namespace
}  // namespace ombus::net
