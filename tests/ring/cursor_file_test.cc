#include "ring/cursor_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/ring/child_process.h"

namespace {
std::vector<std::string> calls;       // that decide what is on the disk after a crash
std::function<void()> before_rename;  // runs once
}  // namespace

// What a crash of the machine would leave cannot be tried; in which order it was asked for can.
extern "C" {
int InterceptedFsync(int fd) __asm__("fsync");
int InterceptedFsync(int fd) {
  struct stat info = {};
  fstat(fd, &info);
  calls.push_back(S_ISDIR(info.st_mode) ? "fsync folder"
                                        : "fsync " + std::to_string(info.st_size) + " bytes");
  return static_cast<int>(syscall(SYS_fsync, fd));
}
int InterceptedRename(const char* from, const char* to) __asm__("rename");
int InterceptedRename(const char* from, const char* to) {
  calls.push_back("rename");
  if (before_rename) std::exchange(before_rename, nullptr)();
  return static_cast<int>(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
}

namespace ombus {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class CursorFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "ombus-cursor-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = (folder_ / "cursor").string();
  }
  void TearDown() override {
    std::error_code error;
    fs::permissions(folder_, fs::perms::owner_all, error);
    fs::remove_all(folder_, error);
  }

  std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void Write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  size_t Files() {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  mode_t ModeOf(const std::string& path) {
    struct stat info = {};
    EXPECT_EQ(lstat(path.c_str(), &info), 0);
    return info.st_mode;
  }
  void ExpectLoads(uint64_t wal_seq) {
    const auto loaded = LoadCursorFile(path_);
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    EXPECT_EQ(*loaded, wal_seq);
  }

  fs::path folder_;
  std::string path_;
};

TEST_F(CursorFileTest, IsSixteenBytesOfMagicSequenceAndCrc) {
  ASSERT_TRUE(SaveCursorFile(path_, 0x1122334455667788u).ok());
  const std::string bytes = Read(path_);
  ASSERT_EQ(bytes.size(), 16u);
  EXPECT_EQ(bytes.substr(0, 4), "\x43\x42\x4D\x4F");
  EXPECT_EQ(bytes.substr(4, 8), "\x88\x77\x66\x55\x44\x33\x22\x11");
  // CRC32C, reflected polynomial 0x82F63B78, of those eight bytes, by hand.
  uint32_t crc = ~0u;
  for (size_t i = 4; i < 12; ++i) {
    crc ^= static_cast<unsigned char>(bytes[i]);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0);
  }
  crc = ~crc;
  EXPECT_EQ(bytes.substr(12), std::string(reinterpret_cast<const char*>(&crc), 4));
}

TEST_F(CursorFileTest, GivesBackWhatWasSavedLast) {
  for (const uint64_t wal_seq : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}, uint64_t{7}}) {
    ASSERT_TRUE(SaveCursorFile(path_, wal_seq).ok());
    ExpectLoads(wal_seq);
  }
  EXPECT_EQ(Files(), 1u);  // nothing is left beside it
}

// Else a crash may leave a file that has the name and not the bytes, or the old one after a save.
TEST_F(CursorFileTest, IsOnTheDiskBeforeItHasTheNameAndTheNameBeforeTheSaveIsOver) {
  calls.clear();
  ASSERT_TRUE(SaveCursorFile(path_, 7).ok());
  EXPECT_THAT(calls, testing::ElementsAre("fsync 16 bytes", "rename", "fsync folder"));
}

TEST_F(CursorFileTest, EveryFlippedBitIsNoticed) {
  ASSERT_TRUE(SaveCursorFile(path_, 123456789).ok());
  const std::string sound = Read(path_);
  for (size_t bit = 0; bit < 8 * sound.size(); ++bit) {
    std::string damaged = sound;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    Write(path_, damaged);
    EXPECT_EQ(LoadCursorFile(path_).status().code(), StatusCode::kCorrupt) << "bit " << bit;
  }
}

TEST_F(CursorFileTest, EveryOtherLengthIsNoticed) {
  ASSERT_TRUE(SaveCursorFile(path_, 123456789).ok());
  const std::string sound = Read(path_);
  for (size_t size = 0; size < sound.size(); ++size) {
    Write(path_, sound.substr(0, size));
    const auto loaded = LoadCursorFile(path_);
    EXPECT_EQ(loaded.status().code(), StatusCode::kCorrupt);
    EXPECT_THAT(loaded.status().message(), HasSubstr("of 16 bytes"));
  }
  Write(path_, sound + "x");
  EXPECT_THAT(LoadCursorFile(path_).status().message(), HasSubstr("longer than 16 bytes"));
}

TEST_F(CursorFileTest, WhatIsNoCursorFileIsRefusedWithItsPath) {
  const auto missing = LoadCursorFile(path_);
  EXPECT_EQ(missing.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.status().message(), HasSubstr(path_));
  EXPECT_EQ(LoadCursorFile(folder_.string()).status().code(), StatusCode::kCorrupt);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);  // nobody writes: must not be waited for
  EXPECT_EQ(LoadCursorFile(path_).status().code(), StatusCode::kCorrupt);
  EXPECT_FALSE(SaveCursorFile(path_, 1).ok());  // nor is it replaced
  EXPECT_TRUE(S_ISFIFO(ModeOf(path_)));
}

TEST_F(CursorFileTest, PathsThatNameNoFileAreRefused) {
  for (const std::string& path : {std::string(), folder_.string() + "/", std::string("a\0b", 3)}) {
    EXPECT_EQ(SaveCursorFile(path, 1).code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(LoadCursorFile(path).status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(SaveCursorFile(path_ + std::string(300, 'x'), 1).code(), StatusCode::kInvalidArgument);
  const Status no_folder = SaveCursorFile((folder_ / "none" / "cursor").string(), 1);
  EXPECT_EQ(no_folder.code(), StatusCode::kNotFound);
  EXPECT_THAT(no_folder.message(), HasSubstr("the folder must exist"));
}

TEST_F(CursorFileTest, ALinkIsFollowedAndStays) {
  const fs::path elsewhere = folder_ / "elsewhere";
  fs::create_directory(elsewhere);
  const std::string target = (elsewhere / "real").string();
  fs::create_symlink("elsewhere/real", path_);  // relative, and there is nothing yet
  ASSERT_TRUE(SaveCursorFile(path_, 5).ok());
  EXPECT_TRUE(fs::is_symlink(path_));
  EXPECT_EQ(Read(target).size(), 16u);
  ExpectLoads(5);
  ASSERT_TRUE(SaveCursorFile(path_, 6).ok());
  EXPECT_TRUE(fs::is_symlink(path_));
  ExpectLoads(6);
}

TEST_F(CursorFileTest, LinksInACircleAreAnError) {
  fs::create_symlink("cursor", path_);
  EXPECT_THAT(SaveCursorFile(path_, 5).message(), HasSubstr("ELOOP"));
}

TEST_F(CursorFileTest, AStaleTemporaryIsNoObstacleNorIsALinkInItsPlaceFollowed) {
  const std::string victim = (folder_ / "victim").string();
  Write(victim, "precious");
  const std::string temporary =
      path_ + ".tmp." + std::to_string(getpid()) + "." + std::to_string(gettid());
  fs::create_symlink(victim, temporary);
  ASSERT_TRUE(SaveCursorFile(path_, 5).ok());
  ExpectLoads(5);
  EXPECT_EQ(Read(victim), "precious");
  EXPECT_EQ(Files(), 3u);  // who made it may be at it
}

// As in two containers that share a folder, where each is process 1: one is in the midst of a save
// when the other begins its own.
TEST_F(CursorFileTest, ASaveByAnotherOfTheSameNumberLeavesAWholeCursorAndItsOwn) {
  ASSERT_TRUE(SaveCursorFile(path_, 1).ok());
  bool other_saved = false;
  before_rename = [&] { other_saved = SaveCursorFile(path_, 2).ok(); };
  const Status saved = SaveCursorFile(path_, 3);
  EXPECT_TRUE(other_saved);
  EXPECT_TRUE(saved.ok()) << saved.message();
  ExpectLoads(3);
  EXPECT_EQ(Files(), 1u);
}

TEST_F(CursorFileTest, PermissionsOfTheOldFileAreHandedOn) {
  const mode_t umask_before = umask(022);
  ASSERT_TRUE(SaveCursorFile(path_, 1).ok());
  EXPECT_EQ(ModeOf(path_) & 07777, 0644u);
  ASSERT_EQ(chmod(path_.c_str(), 0620), 0);
  ASSERT_TRUE(SaveCursorFile(path_, 2).ok());
  EXPECT_EQ(ModeOf(path_) & 07777, 0620u);
  umask(umask_before);
}

TEST_F(CursorFileTest, AFolderThatMayNotBeWrittenIsAnErrorAndTheOldCursorStays) {
  if (getuid() == 0) GTEST_SKIP() << "root may write everywhere";
  ASSERT_TRUE(SaveCursorFile(path_, 1).ok());
  fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_EQ(SaveCursorFile(path_, 2).code(), StatusCode::kPermissionDenied);
  ExpectLoads(1);
}

// It cannot be made to outlast a crash.
TEST_F(CursorFileTest, AFolderThatMayNotBeReadIsAnErrorAndTheOldCursorStays) {
  constexpr uid_t kNobody = 65534;
  ASSERT_TRUE(SaveCursorFile(path_, 1).ok());
  if (getuid() == 0) {
    ASSERT_EQ(chown(folder_.c_str(), kNobody, kNobody), 0);
    ASSERT_EQ(chown(path_.c_str(), kNobody, kNobody), 0);
  }
  fs::permissions(folder_, fs::perms::owner_write | fs::perms::owner_exec);
  ChildProcess child([this](ChildProcess::Parent&) {
    if (getuid() == 0 && setresuid(kNobody, kNobody, kNobody) != 0) return 2;
    return SaveCursorFile(path_, 2).code() == StatusCode::kPermissionDenied ? 0 : 1;
  });
  EXPECT_EQ(child.Wait(), 0);
  fs::permissions(folder_, fs::perms::owner_all);
  ExpectLoads(1);
  EXPECT_EQ(Files(), 1u);
}

TEST_F(CursorFileTest, AFullDiskIsAnErrorAndTheOldCursorStays) {
  constexpr int kNotAllowed = 77;
  ChildProcess child([this](ChildProcess::Parent&) {
    // A file system of one page, seen by this child alone: the first cursor fills it.
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, "") != 0 ||
        mount("none", folder_.c_str(), "tmpfs", 0, "size=4k") != 0) {
      return kNotAllowed;
    }
    if (!SaveCursorFile(path_, 1).ok()) return 1;
    const Status refused = SaveCursorFile(path_, 2);
    if (refused.code() != StatusCode::kResourceExhausted) return 2;
    if (refused.message().find("ENOSPC") == std::string::npos) return 3;
    const auto kept = LoadCursorFile(path_);
    return kept.ok() && *kept == 1 && Files() == 1 ? 0 : 4;
  });
  const int code = child.Wait();
  if (code == kNotAllowed) GTEST_SKIP() << "may not mount a small file system";
  EXPECT_EQ(code, 0);
}

TEST_F(CursorFileTest, AFileSizeLimitIsAnErrorAndNotASignal) {
  ASSERT_TRUE(SaveCursorFile(path_, 1).ok());
  ChildProcess child([this](ChildProcess::Parent&) {
    const struct rlimit none = {0, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &none) != 0) return 2;
    return SaveCursorFile(path_, 2).code() == StatusCode::kResourceExhausted ? 0 : 1;
  });
  EXPECT_EQ(child.Wait(), 0);
  ExpectLoads(1);
  EXPECT_EQ(Files(), 1u);
}

TEST_F(CursorFileTest, AKillAtAnyMomentLeavesAWholeCursor) {
  constexpr int kKills = 40;
  ASSERT_TRUE(SaveCursorFile(path_, 0).ok());
  uint64_t last = 0;
  for (int i = 0; i < kKills; ++i) {
    ChildProcess child([this, last](ChildProcess::Parent& parent) {
      for (uint64_t wal_seq = last + 1;; ++wal_seq) {
        if (!SaveCursorFile(path_, wal_seq).ok()) return 1;
        if (wal_seq == last + 1) parent.Tell();
      }
    });
    ASSERT_TRUE(child.Await());
    usleep(static_cast<useconds_t>(i * 37 % 500));  // varies the moment, waits for nothing
    child.Kill();
    const auto loaded = LoadCursorFile(path_);
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    EXPECT_GT(*loaded, last);  // never back
    last = *loaded;
  }
}

}  // namespace
}  // namespace ombus
