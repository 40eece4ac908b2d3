#include "net/backend_select.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "tests/net/in_child.h"
#include "tests/system_call_filter.h"

namespace ombus::net {
namespace {

[[maybe_unused]] bool Has(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

TEST(BackendSelect, EpollIsAlwaysToBeHad) {
  std::string why = "old";
  const Result<BackendKind> kind = ChooseBackend(BackendChoice::kEpoll, &why);
  ASSERT_TRUE(kind.ok());
  EXPECT_EQ(*kind, BackendKind::kEpoll);
  EXPECT_EQ(why, "");
}

TEST(BackendSelect, AutoTakesIoUringExactlyWhereForcingItWorks) {
  std::string why;
  const Result<BackendKind> kind = ChooseBackend(BackendChoice::kAuto, &why);
  ASSERT_TRUE(kind.ok());
  EXPECT_EQ(*kind == BackendKind::kUring, ChooseBackend(BackendChoice::kUring, nullptr).ok());
  EXPECT_EQ(*kind == BackendKind::kUring, why.empty());
  EXPECT_EQ(why.find('\n'), std::string::npos);
}

#ifdef OMBUS_HAVE_IOURING

// How a forced io_uring fails, and what auto says, where `number` fails with `error`.
int WhereForbidden(unsigned number, unsigned error, StatusCode code, const char* cause) {
  return InChild([&] {
    if (!ForbidSystemCall(number, error)) return false;
    const Result<BackendKind> forced = ChooseBackend(BackendChoice::kUring, nullptr);
    if (forced.ok() || forced.status().code() != code) return false;
    if (!Has(forced.status().message(), cause)) return false;
    if (!Has(forced.status().message(), "epoll")) return false;
    std::string why;
    const Result<BackendKind> chosen = ChooseBackend(BackendChoice::kAuto, &why);
    return chosen.ok() && *chosen == BackendKind::kEpoll && Has(why, cause);
  });
}

TEST(BackendSelect, AProfileThatForbidsIoUringIsNamed) {
  EXPECT_EQ(WhereForbidden(SYS_io_uring_setup, EPERM, StatusCode::kPermissionDenied, "EPERM"), 0);
  EXPECT_EQ(WhereForbidden(SYS_io_uring_setup, ENOSYS, StatusCode::kUnsupported, "ENOSYS"), 0);
  EXPECT_EQ(WhereForbidden(SYS_io_uring_setup, ENOMEM, StatusCode::kResourceExhausted, "ulimit -l"),
            0);
  EXPECT_EQ(WhereForbidden(SYS_io_uring_setup, EINVAL, StatusCode::kInvalidArgument, "6.1"), 0);
}

TEST(BackendSelect, AProfileThatForbidsOnlyAPartOfIoUringIsFoundToo) {
  if (!ProbeUring().ok()) GTEST_SKIP() << ProbeUring().message();
  EXPECT_EQ(WhereForbidden(SYS_io_uring_enter, EPERM, StatusCode::kPermissionDenied, "enter"), 0);
  EXPECT_EQ(WhereForbidden(SYS_io_uring_register, EPERM, StatusCode::kPermissionDenied, "register"),
            0);
}

#else

TEST(BackendSelect, ForcingIoUringInABuildWithoutItNamesTheCure) {
  const Result<BackendKind> kind = ChooseBackend(BackendChoice::kUring, nullptr);
  ASSERT_FALSE(kind.ok());
  EXPECT_EQ(kind.status().code(), StatusCode::kUnsupported);
  EXPECT_NE(kind.status().message().find("-Diouring=enabled"), std::string::npos);
}

#endif  // OMBUS_HAVE_IOURING

}  // namespace
}  // namespace ombus::net
