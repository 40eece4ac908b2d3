#include "tests/model/world.h"

#include "ring/geometry.h"

namespace ombus::model {

World world;

namespace {

constexpr uint32_t kSlotBytes = kSlotHeaderBytes + sizeof(uint64_t);
constexpr uint64_t kStepNs = 1'000'000;  // of the clock, where it runs
alignas(4096) char ring_memory[kRingBytes];
static_assert(kRingBytes >= kHeaderPageBytes + 3 * kConsumerLineBytes + 8 * kSlotBytes);

uint64_t Content(uint64_t position, uint8_t writer) { return (position + 1) << 8 | writer; }

ConsumerLine& Line(uint32_t index) {
  return *reinterpret_cast<ConsumerLine*>(world.ring + kHeaderPageBytes +
                                          uint64_t{index} * kConsumerLineBytes);
}

RingState StateAtLast() {
  return static_cast<RingState>(static_cast<uint32_t>(Peek(&world.header().state)));
}
bool WasReplaced() { return StateAtLast() == RingState::kReplaced; }

// What is published behind the change to another object is nobody's.
uint64_t HeadAtLast() {
  if (WasReplaced()) return Peek(&world.header().epoch_position);
  uint64_t head = Peek(&world.header().head);
  while (Peek(&world.slot(head).seq) == head + 1) ++head;
  return head;
}

// Whether a record may be told under that epoch: its writer's, or an older one, if another that
// began behind the record has taken the place of its writer's before the reader was told of that.
bool IsUnder(uint64_t epoch, uint8_t writer, uint64_t position) {
  const uint64_t own = world.epoch_of[writer];
  return epoch == own || (epoch < own && position < Peek(&world.header().epoch_position));
}

// Where an epoch began, of which no record is before that. 0 for one whose producer died before it
// could publish.
uint64_t BegunAt(uint64_t epoch) {
  for (const Writer* const writer : world.writers) {
    if (writer != nullptr && world.epoch_of[writer->id] == epoch) return writer->begun;
  }
  return Peek(&world.header().epoch) == epoch ? Peek(&world.header().epoch_position) : 0;
}

void CheckEpoch(int thread) {
  Reader& reader = *world.readers[thread];
  const uint64_t epoch = reader.consumer->epoch();
  if (world.shape.enders == 0) Fail("reader %d: an epoch that nobody began", thread);
  if (reader.next < BegunAt(epoch))
    Fail("reader %d: a new epoch before the end of the old one", thread);
  if (epoch <= std::exchange(reader.told, epoch))
    Fail("reader %d: told twice of an epoch, or of an older one", thread);
}

// After it `more` were returned in the same call.
void CheckRecord(int thread, const Record& record, bool gap, uint64_t more = 0) {
  Reader& reader = *world.readers[thread];
  Consumer& consumer = *reader.consumer;
  const auto at = static_cast<unsigned long long>(reader.next);
  if (consumer.tail() - 1 - more != reader.next) Fail("reader %d skips from %llu", thread, at);
  if (record.wal_seq != reader.next + 1) Fail("reader %d: wrong sequence at %llu", thread, at);
  if (gap != (reader.lost_since_record && reader.has_read))
    Fail("reader %d: a gap that is none, or none where there is one, at %llu", thread, at);
  const uint8_t writer = record.type;
  if (writer == 0 || writer >= kThreadsMax || world.writers[writer - 1] == nullptr ||
      record.size != sizeof(uint64_t)) {
    Fail("reader %d: damaged at %llu", thread, at);
  }
  if (!IsUnder(consumer.epoch(), writer, reader.next))
    Fail("reader %d: a record of another epoch at %llu", thread, at);
  if (WasReplaced() && reader.next >= Peek(&world.header().epoch_position))
    Fail("reader %d: published at %llu after another object had taken the name", thread, at);
  uint64_t content = 0;
  std::memcpy(&content, record.payload, sizeof content);
  BeginAction(kValid);
  // Not asked where nobody is evicted: the fence in it would hide what is missing elsewhere.
  const bool valid = !world.shape.evicts || consumer.valid();
  if (valid && content != Content(reader.next, writer))
    Fail("reader %d: torn unnoticed at %llu", thread, at);
  if (!valid && LineHoldsBack(Peek(&Line(consumer.index()).control)))
    Fail("reader %d: torn, it is told, and was never evicted, at %llu", thread, at);
  ++reader.next;
  reader.lost_since_record = false;
  reader.has_read = true;
}

void CheckEviction(int thread) {
  Reader& reader = *world.readers[thread];
  const uint64_t tail = reader.consumer->tail(), lost = reader.consumer->lost_records();
  if (!world.shape.evicts) Fail("reader %d: evicted by nobody", thread);
  if ((world.shape.kept >> thread & 1) != 0)
    Fail("reader %d: evicted, and stood in nobody's way", thread);
  if (tail < reader.next || lost - reader.lost != tail - reader.next)
    Fail("reader %d: lost other records than it says", thread);
  if (tail != reader.next) reader.lost_since_record = true;
  reader.next = tail;
  reader.lost = lost;
}

// What a poll may say besides records.
void CheckWord(int thread, PollResult result) {
  Reader& reader = *world.readers[thread];
  switch (result) {
    case PollResult::kEmpty:
      return;
    case PollResult::kEvicted:
      return CheckEviction(thread);
    case PollResult::kEpochChanged:
      return CheckEpoch(thread);
    case PollResult::kClosed:
      reader.closed = true;
      if (world.shape.enders == 0) Fail("reader %d: an end that is none", thread);
      if (reader.next != HeadAtLast()) Fail("reader %d: an end before the last record", thread);
      return;
    default:
      Fail("reader %d: poll says %d", thread, static_cast<int>(result));
  }
}

}  // namespace

uint64_t ModelNowNs() {
  return world.shape.evicts || world.shape.tends ? NextNumber() * kStepNs : 0;
}

SlotHeader& World::slot(uint64_t position) const {
  return *reinterpret_cast<SlotHeader*>(ring + kHeaderPageBytes +
                                        uint64_t{shape.lines} * kConsumerLineBytes +
                                        (position & (shape.capacity - 1)) * kSlotBytes);
}

// --- Set up --------------------------------------------------------------------------------------

namespace {

ProducerOptions OptionsOf(const Shape& shape) {
  ProducerOptions options;
  options.name = "/model";
  options.capacity = shape.capacity;
  options.slot_size = kSlotBytes;
  options.max_consumers = shape.lines;
  options.crc32c = shape.sealed;
  options.staleness_ns = shape.evicts ? 1 : 0;
  options.unlink_on_close = false;
  return options;
}

void AddGeometry(RingHeader& header) {
  AddLocation(&header.magic, 4, Role::kWord, 1, "magic");
  AddLocation(&header.version, 4, Role::kWord, 1, "version");
  AddLocation(&header.slot_size, 4, Role::kWord, 1, "slot_size");
  AddLocation(&header.capacity, 4, Role::kWord, 1, "capacity");
  AddLocation(&header.max_consumers, 4, Role::kWord, 1, "max_consumers");
  AddLocation(&header.flags, 4, Role::kWord, 1, "flags");
  AddLocation(&header.consumers_offset, 8, Role::kWord, 1, "consumers_offset");
  AddLocation(&header.slots_offset, 8, Role::kWord, 1, "slots_offset");
  AddLocation(&header.total_bytes, 8, Role::kWord, 1, "total_bytes");
}

void AddLine(uint32_t index) {
  ConsumerLine& line = Line(index);
  const Threads owners = world.shape.owners[index];
  AddLocation(&line.tail, 8, Role::kWord, owners, "tail");
  AddLocation(&line.control, 8, Role::kControl, owners | world.shape.producers, "control");
}

void AddSlot(uint32_t index) {
  SlotHeader& slot = world.slot(index);
  const Threads producers = world.shape.producers;
  AddLocation(&slot.seq, 8, Role::kWord, producers, "seq");
  AddLocation(&slot.wal_seq, 8, Role::kData, producers, "wal_seq");
  AddLocation(&slot.type, 8, Role::kData, producers, "meta");
  AddLocation(&slot + 1, 8, Role::kData, producers, "payload");
}

}  // namespace

void MakeRing(const Shape& shape) {
  world = World();
  world.shape = shape;
  world.ring = ring_memory;
  std::memset(ring_memory, 0, sizeof ring_memory);
  AllocateFor(0);
  if (!shape.creates) Create(0);
}

void Join(int thread) {
  AllocateFor(thread);
  Open(thread);
  AllocateFor(0);
}

void HandOver() {
  RingHeader& header = world.header();
  if (world.shape.creates) AddGeometry(header);
  const Threads producers = world.shape.producers, enders = world.shape.enders;
  AddLocation(&header.epoch, 8, Role::kWord, enders, "epoch");
  AddLocation(&header.state, 4, Role::kWord, enders, "state");
  AddLocation(&header.epoch_position, 8, Role::kWord, enders, "epoch_position");
  AddLocation(&header.head, 8, Role::kWord, producers, "head");
  if (world.shape.sleeps) {
    const Threads* const owners = world.shape.owners;
    AddLocation(&header.waiters, 4, Role::kWord, owners[0] | owners[1] | producers, "waiters");
    AddLocation(&header.wake_word, 4, Role::kWord, producers, "wake_word");
  }
  for (uint32_t i = 0; i < world.shape.lines; ++i) AddLine(i);
  for (uint32_t i = 0; i < world.shape.capacity; ++i) AddSlot(i);
  for (int thread = 0; thread < kThreadsMax; ++thread) {
    const Reader* const reader = world.readers[thread];
    if (reader != nullptr) TakeLine(&Line(reader->consumer->index()).control, thread);
  }
}

// --- What threads do -----------------------------------------------------------------------------

void Publish(int thread, int times) {
  for (int i = 0; i < times; ++i) {
    BeginAction(kPublish);
    Writer& writer = *world.writers[thread];
    const uint64_t position = writer.producer->head();
    const uint64_t content = Content(position, writer.id);
    (void)writer.producer->TryPublish(
        {.wal_seq = position + 1, .payload = &content, .size = sizeof content, .type = writer.id});
    EndAction();
  }
}

void PublishBatch(int thread, int records) {
  BeginAction(kPublish);
  Writer& writer = *world.writers[thread];
  uint64_t contents[8];
  Record batch[8];
  for (int i = 0; i < records; ++i) {
    const uint64_t position = writer.producer->head() + static_cast<uint64_t>(i);
    contents[i] = Content(position, writer.id);
    batch[i] = {.wal_seq = position + 1, .payload = &contents[i], .size = 8, .type = writer.id};
  }
  (void)writer.producer->TryPublishBatch({batch, static_cast<size_t>(records)}, nullptr);
  EndAction();
}

void Open(int thread, ConsumerStart start, uint32_t line) {
  BeginAction(kOpen);
  ConsumerOptions options;
  options.name = "/model";
  options.start = start;
  options.consumer_index = line;
  auto opened = Consumer::Open(options);
  if (opened.ok()) {
    auto* const reader = new Reader;
    reader->consumer = std::move(*opened);
    reader->next = reader->consumer->tail();
    world.readers[thread] = reader;
    const uint64_t missed = reader->consumer->missed_records();
    // Where there is one epoch, which began at 0.
    if (start == ConsumerStart::kEpochStart && world.shape.enders == 0 && missed != reader->next)
      Fail("reader %d: joined at the start of the epoch, but for records it is not told of",
           thread);
  } else if (opened.status().message().find("wrong magic") == std::string::npos &&
             opened.status().code() != StatusCode::kAlreadyExists) {
    Fail("open: %s", opened.status().message().c_str());
  }
  EndAction();
}

void Leave(int thread) {
  if (world.readers[thread] == nullptr) return;
  BeginAction(kLeave);
  world.readers[thread]->consumer.reset();
  world.readers[thread] = nullptr;
  EndAction();
}

void Poll(int thread, int times) {
  for (int i = 0; i < times && world.readers[thread] != nullptr; ++i) {
    BeginAction(kPoll);
    Record record;
    const PollResult result = world.readers[thread]->consumer->Poll(&record);
    if (IsRecord(result)) {
      CheckRecord(thread, record, result == PollResult::kGap);
    } else {
      CheckWord(thread, result);
    }
    EndAction();
  }
}

void Drain(int thread, int times) {
  for (int i = 0; i < times && world.readers[thread] != nullptr; ++i) {
    BeginAction(kPoll);
    const BatchResult result =
        world.readers[thread]->consumer->Drain(world.shape.capacity, [&](const Record& record) {
          CheckRecord(thread, record, (record.flags & kRecordGap) != 0);
        });
    if (result.count == 0) CheckWord(thread, result.end);
    EndAction();
  }
}

void PollBatch(int thread) {
  BeginAction(kPoll);
  Record records[8];
  const BatchResult result =
      world.readers[thread]->consumer->PollBatch({records, world.shape.capacity});
  for (size_t i = 0; i < result.count; ++i) {
    CheckRecord(thread, records[i], (records[i].flags & kRecordGap) != 0, result.count - 1 - i);
  }
  if (result.count == 0) CheckWord(thread, result.end);
  EndAction();
}

void Release(int thread) {
  BeginAction(kPoll);
  world.readers[thread]->consumer->Release();
  EndAction();
}

void CopyOut(int thread, int times) {
  for (int i = 0; i < times; ++i) {
    BeginAction(kCopyOut);
    Reader& reader = *world.readers[thread];
    Record record;
    uint64_t content = 0;
    auto* const to = reinterpret_cast<std::byte*>(&content);
    if (reader.consumer->TryCopyOut<sizeof content>(to, &record)) {
      if (record.wal_seq != reader.next + 1 || content != Content(reader.next, record.type))
        Fail("reader %d: a torn copy", thread);
      if (!IsUnder(reader.consumer->epoch(), record.type, reader.next))
        Fail("reader %d: a copy of another epoch", thread);
      ++reader.next;
    }
    EndAction();
  }
}

void Sleep(int thread) {
  BeginAction(kArm);
  Reader& reader = *world.readers[thread];
  reader.asleep = reader.consumer->ArmWake();
  EndAction();
}

void Wait(int thread) {
  BeginAction(kWait);
  (void)world.readers[thread]->consumer->Wait(1, 0);  // no time passes
  EndAction();
}

void Close(int thread) {
  BeginAction(kClose);
  world.writers[thread]->producer->Close();
  EndAction();
}

void Create(int thread) {
  BeginAction(kCreate);
  auto made = Producer::Create(OptionsOf(world.shape));
  if (!made.ok() && world.unlinked) return EndAction();  // the new object is not the model's
  if (!made.ok()) Fail("create: %s", made.status().message().c_str());
  auto* const writer = new Writer;
  writer->id = static_cast<uint8_t>(thread + 1);
  writer->producer = std::move(*made);
  writer->begun = writer->producer->head();
  world.writers[thread] = writer;
  world.epoch_of[writer->id] = writer->producer->epoch();
  EndAction();
}

namespace {

// What replaced an object ends the last epoch there, and has none there itself.
bool KnowsEpoch(const Reader& reader) {
  return world.unlinked || reader.consumer->epoch() == Peek(&world.header().epoch);
}

// What its next polls have to say; nullptr: nothing.
const char* Untold(const Reader& reader, uint64_t head) {
  if (reader.next != head) return "a record";
  const uint64_t control = Peek(&Line(reader.consumer->index()).control) & kLineStateMask;
  if (control == static_cast<uint64_t>(LineState::kEvicted)) return "its eviction";
  if (!KnowsEpoch(reader)) return "a new epoch";
  if (StateAtLast() == RingState::kClosed && !reader.closed) return "the end";
  if (WasReplaced() && reader.told == 0) return "another object";
  return nullptr;
}

}  // namespace

void DrainAll() {
  const uint64_t head = HeadAtLast();
  for (int thread = 0; thread < kThreadsMax; ++thread) {
    Reader* const reader = world.readers[thread];
    if (reader == nullptr || !Alive(thread)) continue;
    const char* const untold = Untold(*reader, head);
    if (untold != nullptr && (Asleep(thread) || (reader->asleep && !world.woken)))
      Fail("reader %d sleeps, and nobody told it of %s", thread, untold);
    const auto has_all = [&] {
      return reader->closed && reader->next == head && KnowsEpoch(*reader);
    };
    for (int i = 0; i < 70 && !has_all(); ++i) Poll(thread, 1);
    if (reader->next != head) {
      Fail("reader %d ends at %llu, the stream at %llu", thread,
           static_cast<unsigned long long>(reader->next), static_cast<unsigned long long>(head));
    }
    if (!KnowsEpoch(*reader)) Fail("reader %d is not told of the last epoch", thread);
    if (world.unlinked && !reader->consumer->replaced())
      Fail("reader %d is not told that the name leads elsewhere", thread);
  }
}

void DrainAllAndGoOn() {
  DrainAll();
  int last = kThreadsMax - 1;
  while (world.writers[last] == nullptr) --last;
  const Producer& producer = *world.writers[last]->producer;
  for (uint32_t i = 0; i <= world.shape.capacity; ++i) {
    const uint64_t head = producer.head();
    for (int looks = 0; looks < 4 && producer.head() == head; ++looks) Publish(last, 1);
    if (producer.head() == head) Fail("the producer is held back by nobody");
    DrainAll();
  }
}

}  // namespace ombus::model
