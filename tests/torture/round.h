// Round: one stream with its processes, from creation to its end, and what is done to them
// meanwhile.
#ifndef OMBUS_TESTS_TORTURE_ROUND_H_
#define OMBUS_TESTS_TORTURE_ROUND_H_

#include <sys/types.h>

#include <array>
#include <string>

#include "ring/base/random.h"
#include "tests/torture/board.h"

namespace ombus::torture {

// Sums of rounds.
struct Sums {
  uint64_t rounds = 0, wraps = 0;
  uint64_t published = 0, delivered = 0, lost = 0;
  uint64_t evictions = 0, joins = 0, epochs = 0, torn_told = 0;
  uint64_t takeovers = 0, replacements = 0;
  uint64_t kills = 0, stalls = 0;
};

class Round {
 public:
  // Ends with the records or the time, if that is not 0. near_wrap: positions begin some laps
  // before 2^64.
  Round(const Plan& plan, uint64_t records, uint64_t time_ns, uint64_t seed, bool near_wrap);
  ~Round();
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;

  // False: something is wrong; fault() and text() say what.
  bool Run(Sums* sums);
  Fault fault() const { return static_cast<Fault>(board_->fault.load()); }
  bool hung() const { return hung_; }
  const char* text() const { return board_->fault_text; }

 private:
  struct Child {
    uint64_t done_at_start = 0;  // records, of this process's part of the board
    pid_t pid = 0;               // 0: not running
    bool killed = false;
  };

  void StartNearWrap();
  void SpawnProducer();
  void SpawnReader(int index);
  void Reap(Child* child, int index);  // index -1: the producer
  void Harass();
  void Stall(const Child& child);
  void Kill(Child* child, uint64_t done);
  bool Progresses();
  bool Running() const;
  void KillAll();
  void AddTo(Sums* sums) const;

  const Plan& plan_;
  const uint64_t time_ns_;
  const bool near_wrap_;
  Random random_;
  std::string name_;
  Board* board_;
  int readers_;
  std::array<Reading, kReadersMax> readings_ = {};
  Child producer_;
  std::array<Child, kReadersMax> children_ = {};
  bool over_ = false;  // the producer came to its end
  bool hung_ = false;
  uint64_t kills_ = 0, stalls_ = 0;
  uint64_t seen_ = 0, looked_ns_ = 0, waited_ns_ = 0;  // see Progresses
};

}  // namespace ombus::torture

#endif  // OMBUS_TESTS_TORTURE_ROUND_H_
