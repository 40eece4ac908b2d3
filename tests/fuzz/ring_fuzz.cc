// A stream's object that anybody may have written: any bytes as its image, or a sound one in which
// words change between the calls. Attach, poll in every way, sleep, take over, publish and look at
// it: nothing is read or written outside the object, and every call comes back.
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <iterator>

#include "tests/fuzz/ring_user.h"
#include "tests/ring/raw_object.h"

namespace ombus {
namespace {

constexpr size_t kStepsMax = 300;
constexpr uint64_t kShortNs = 2000;

ProducerOptions OptionsOf(FuzzInput* input) {
  constexpr uint32_t kSlotBytes[] = {24, 32, 64, 128, 256, 520};
  const uint8_t shape = input->Byte(), flags = input->Byte();
  return {.capacity = uint32_t{1} << shape % 6,
          .slot_size = kSlotBytes[shape / 6 % std::size(kSlotBytes)],
          .max_consumers = (flags & 1) != 0 ? 64u : 2u,  // 64: slots begin with a page
          .crc32c = (flags & 2) != 0,
          .reject_reorder = (flags & 4) != 0,
          .staleness_ns = (flags & 8) != 0 ? uint64_t{1} : uint64_t{0},
          .profile = (flags & 16) != 0 ? RingProfile::kLatency : RingProfile::kThroughput};
}

class World {
 public:
  explicit World(FuzzInput* input)
      : input_(input),
        name_("/ombus-fuzz-" + std::to_string(getpid())),
        user_(name_, OptionsOf(input)) {
    shm_unlink(name_.c_str());
    if (input->Byte() % 8 == 0) {
      const auto image = input->Bytes(2 * kHeaderPageBytes);
      raw_ = std::make_unique<RawObject>(name_, kHeaderPageBytes + size_t{input->Byte()} * 64);
      if (!image.empty()) std::memcpy(raw_->memory(), image.data(), Clamp(image.size()));
    } else {
      FUZZ_CHECK(user_.TakeOver());
      raw_ = std::make_unique<RawObject>(name_);
    }
  }
  ~World() {
    user_.Detach();
    user_.StopProducing();
    raw_.reset();
    shm_unlink(name_.c_str());
    FUZZ_CHECK(GuardedMappings() == 0);
  }

  void Run() {
    for (size_t step = 0; step < kStepsMax && !input_->empty(); ++step) Step();
  }

 private:
  size_t Clamp(size_t bytes) const { return std::min(bytes, raw_->size()); }

  void Step() {
    const uint8_t what = input_->Byte() % 24;
    if (what < 6) return Damage();
    if (what < 8) return Attach();
    if (what < 9) return (void)user_.Look();
    if (what < 10) {
      input_->Byte() % 4 == 0 ? user_.StopProducing() : (void)user_.TakeOver();
      return;
    }
    if (what < 14) {
      if (user_.producing()) Produce();
      return;
    }
    if (user_.attached()) Consume(what);
  }

  // The word somewhere, or one of those that matter most, to any value or one that is nearly right.
  void Damage() {
    if (raw_->size() < kHeaderPageBytes) return;
    const uint8_t where = input_->Byte();
    constexpr size_t kHot[] = {0,   4,   8,   12,  16,  20,  24,  32,  40,   128,  136,
                               140, 144, 152, 256, 384, 512, 516, 640, 4096, 4104, 4128};
    const size_t slots = kHeaderPageBytes + raw_->header().max_consumers % 65 * kConsumerLineBytes;
    size_t offset = input_->Number<uint16_t>();
    if (where < 128) {
      offset = kHot[where % std::size(kHot)];
    } else if (where < 224) {  // a slot's header
      offset = slots + offset % 64 * 8;
    }
    offset = std::min(offset, raw_->size() - 8) / 4 * 4;
    uint64_t value = 0;
    std::memcpy(&value, raw_->memory() + offset, sizeof value);
    switch (input_->Byte() % 4) {
      case 0:
        value = input_->Number<uint64_t>();
        break;
      case 1:
        value += static_cast<uint64_t>(int64_t{input_->Number<int8_t>()});
        break;
      case 2:
        value ^= uint64_t{1} << input_->Byte() % 64;
        break;
      default:
        value = raw_->header().head.load(std::memory_order_relaxed) + input_->Byte();
    }
    std::memcpy(raw_->memory() + offset, &value, sizeof value);
  }

  void Attach() {
    const uint8_t how = input_->Byte();
    if (how % 16 == 15) return user_.Detach();
    (void)user_.Attach(
        {.start = (how & 1) != 0 ? ConsumerStart::kEpochStart : ConsumerStart::kLive,
         .consumer_index = (how & 2) != 0 ? how / 64u : kAnyConsumerIndex,
         .reject_reorder = (how & 4) != 0,
         .profile = (how & 8) != 0 ? RingProfile::kLatency : RingProfile::kThroughput});
    raw_ = std::make_unique<RawObject>(name_);  // whose name it is may have changed
  }

  void Produce() {
    switch (input_->Byte() % 5) {
      case 0:
        return user_.Publish(input_->Byte() * 3u, 0);
      case 1:
        return user_.Publish(input_->Byte(), kShortNs);
      case 2:
        return user_.PublishBatch(input_->Byte() % 9, input_->Byte());
      case 3:
        return user_.Commit(input_->Byte());
      default:
        return user_.AskProducer();
    }
  }

  void Consume(uint8_t what) {
    switch (what) {
      case 14:
      case 15:
      case 16:
      case 17:
        for (int n = input_->Byte() % 32; n >= 0; --n) (void)user_.Poll();
        return;
      case 18:
        return user_.PollBatch(1 + input_->Byte() % 8);
      case 19:
      case 20:
        return user_.Drain(1 + input_->Byte() % 64);
      case 21:
        return user_.Wait(kShortNs);
      case 22:
        return user_.Arm();
      default:
        return user_.Ask();
    }
  }

  FuzzInput* input_;
  std::string name_;
  RingUser user_;
  std::unique_ptr<RawObject> raw_;
};

}  // namespace
}  // namespace ombus

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ombus::FuzzInput input(data, size);
  ombus::World(&input).Run();
  return 0;
}
