// Descriptors that a child of fork does not inherit. A byte lock lasts as long as any process has
// the open file description that it was taken through (see byte_lock.h), and a child made by fork
// shares its parent's: it would keep the name of a producer that was killed, and the place of a
// consumer, for as long as it lives. So in the child, before fork returns there, each descriptor
// that is kept from children becomes one that leads nowhere and that nothing can be locked through.
// Its number stays taken until the child closes it.
//
// So it is known here, too, which streams this very process owns: by those descriptors, and by
// nothing that another process could write.
//
// Kept for the whole process: device and inode for each descriptor, and a mutex that fork takes.
// Not for children made without fork(3), that is by the bare system call or _Fork: those keep the
// locks.
//
// Threads: any. Cost: for opening and closing alone; fork in a program that keeps n of them makes
// 2 + 2 n system calls more.
#ifndef OMBUS_RING_FORK_GUARD_H_
#define OMBUS_RING_FORK_GUARD_H_

namespace ombus {

// While there is one, no thread of this process forks.
class ForkGuard {
 public:
  ForkGuard();
  ~ForkGuard();
  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;

  // For one that was opened under this guard. Beyond 2^16, and below zero, nothing happens: then it
  // owns nothing either.
  void KeepFromChildren(int fd);
  // Closes it, kept or not.
  void Close(int fd);

  // That the producer's lock was taken through it, or dropped.
  void SetOwner(int fd, bool owner);
  // Whether it was taken through any of this process, for the object that fd leads to.
  bool OwnsObjectOf(int fd);
};

}  // namespace ombus

#endif  // OMBUS_RING_FORK_GUARD_H_
