// What comes between two looks at one socket is taken in once and written over by nothing: the
// client over a simulator in which bytes arrive just after a look.
#include <gtest/gtest.h>

#include <deque>
#include <functional>

#include "net/basic_client.h"
#include "net/sim_backend.h"
#include "net/sim_network.h"

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

class ClientLookTest : public ::testing::Test {
 protected:
  void Make(ClientOptions options) {
    options.host = "feed";
    options.port = 7;
    auto backend = std::make_unique<LookingBackend>(&network_, SimOptions{});
    backend_ = backend.get();
    const std::vector addresses{network_.AddressOf(listener_)};
    client_ = std::make_unique<BasicClient<LookingBackend>>(
        std::move(backend), addresses, options,
        ClientNetwork{.look_up = [addresses] { return Result(addresses); },
                      .new_socket =
                          [this](const sockaddr_storage&) {
                            return Result<UniqueFd>(UniqueFd(network_.NewSocket()));
                          }});
    ASSERT_TRUE(client_->ConnectFirst().ok());
    server_ = network_.Accept(listener_);
    ASSERT_GE(server_, 0);
  }
  void Write(const std::vector<std::byte>& bytes) {
    ASSERT_EQ(network_.Write(server_, bytes), static_cast<int>(bytes.size()));
  }
  static void AppendRecord(std::vector<std::byte>* to, uint64_t wal_seq) {
    const size_t at = to->size();
    to->resize(at + FrameBytes(8));
    EncodeFrame(to->data() + at, {.wal_seq = wal_seq, .payload = &wal_seq, .size = 8, .type = 1});
  }
  // Busy polls that find nothing, until the next is after more than a second.
  void PollInVain() {
    NullSink nobody;
    for (int i = 0; i < 10; ++i) {
      Record record;
      ASSERT_EQ(client_->Poll(&record, 0), ClientResult::kEmpty);
      ASSERT_TRUE(backend_->Turn(nobody, 101 * kMs).ok());  // time passes
    }
  }

  SimNetwork network_;
  int listener_ = network_.NewListener();
  int server_ = -1;
  LookingBackend* backend_ = nullptr;
  std::unique_ptr<BasicClient<LookingBackend>> client_;
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
