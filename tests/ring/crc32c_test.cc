#include "ring/crc32c.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace ombus {
namespace {

std::vector<Crc32cFunction> Implementations() {
  std::vector<Crc32cFunction> all = {Crc32cByTable, ResolveCrc32c()};
#if defined(__x86_64__)
  if (HaveCrc32cInstruction()) {
    all.push_back(Crc32cSerial);
    if (HaveCarrylessMultiply()) all.push_back(Crc32cInterleaved);
  }
#endif
  return all;
}

TEST(Crc32c, MatchesTheVectorsOfRfc3720) {
  std::string ascending(32, 0);
  for (int i = 0; i < 32; ++i) ascending[static_cast<size_t>(i)] = static_cast<char>(i);
  for (const Crc32cFunction crc : Implementations()) {
    EXPECT_EQ(crc(0, "123456789", 9), 0xE3069283u);
    EXPECT_EQ(crc(0, std::string(32, '\0').data(), 32), 0x8A9136AAu);
    EXPECT_EQ(crc(0, std::string(32, '\xFF').data(), 32), 0x62A8AB43u);
    EXPECT_EQ(crc(0, ascending.data(), 32), 0x46DD794Eu);
    EXPECT_EQ(crc(0, nullptr, 0), 0u);
  }
}

TEST(Crc32c, AllImplementationsAgreeOnEverySizeAndAlignment) {
  std::vector<unsigned char> bytes(6000);
  uint32_t state = 1;
  for (auto& byte : bytes) byte = static_cast<unsigned char>((state = state * 1664525 + 1) >> 24);
  for (size_t size = 0; size < 5000; size = size < 400 ? size + 1 : size + 379) {
    const size_t offset = size % 9;
    const uint32_t expected = Crc32cByTable(7, bytes.data() + offset, size);
    for (const Crc32cFunction crc : Implementations()) {
      ASSERT_EQ(crc(7, bytes.data() + offset, size), expected) << size;
    }
  }
}

TEST(Crc32c, SealsARecordAsTheFormatSays) {
  std::vector<unsigned char> payload(4096, 0xC3);
  for (const size_t size : {0, 1, 64, 95, 96, 488, 4096}) {
    const uint64_t words[2] = {0x0123456789ABCDEF, uint64_t{size} << 16 | 7};
    const uint32_t expected =
        Crc32cByTable(Crc32cByTable(0, words, sizeof words), payload.data(), size);
    EXPECT_EQ(ResolveSeal()(words[0], words[1], payload.data(), size), expected) << size;
  }
}

TEST(Crc32c, CanBeExtendedPieceByPiece) {
  const std::string text(777, 'q');
  for (const Crc32cFunction crc : Implementations()) {
    EXPECT_EQ(crc(crc(0, text.data(), 300), text.data() + 300, 477),
              crc(0, text.data(), text.size()));
  }
}

}  // namespace
}  // namespace ombus
