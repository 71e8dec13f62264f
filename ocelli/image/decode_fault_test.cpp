#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <chrono>
#include <filesystem>
#include <functional>

#include "ocelli/image/image.h"
#include "ocelli/image/test_pictures.h"

namespace ocelli::image {
namespace {

using ::testing::HasSubstr;
using namespace std::string_literals;
using namespace testing;  // NOLINT: ocelli::image::testing

constexpr const char* kPictures[] = {
    "rgb_interlaced.png",   "grey16.png", "palette4_trns.png", "exif6_behind.png", "rgb.jpg",
    "grey_progressive.jpg", "cmyk.jpg",   "lossless.webp",     "lossy_alpha.webp", "animated.webp"};

std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string png_chunk(const std::string& name, const std::string& data) {
  const std::string body = name + data;
  const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return big_endian(static_cast<uint32_t>(data.size())) + body + big_endian(static_cast<uint32_t>(crc));
}

/// A PNG of 8-bit RGB whose header says width x height.
std::string png_claiming(uint32_t width, uint32_t height) {
  return "\x89PNG\r\n\x1a\n"s + png_chunk("IHDR", big_endian(width) + big_endian(height) + "\x08\2\0\0\0"s) +
         png_chunk("IDAT", "\x78\x9c\x03\0\0\0\0\1"s) + png_chunk("IEND", "");
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(DecodeFaults, TruncatedAnywhereIsAnError) {
  for (const char* name : kPictures) {
    const std::string whole = read_data(name);
    for (size_t size = 0; size < whole.size(); ++size) {
      ASSERT_NE(decode_error(whole.substr(0, size)), "decoded") << name << " cut at " << size << " of " << whole.size();
    }
    ASSERT_EQ(decode_error(whole), "decoded");
  }
}

/// Resizing sets up weights for every line of the longer side: a thin picture of few bytes must not cost much there.
TEST(DecodeFaults, AVeryLongSideIsRefusedOnTheHeader) {
  EXPECT_THAT(decode_error(png_claiming(8'000'000, 1)),
              HasSubstr("8000000 x 1 pixels has a side above the limit of 65535 (max_side)"));
  EXPECT_THAT(decode_error(png_claiming(1, 65'536)), HasSubstr("max_side"));
  EXPECT_THAT(decode_error(png_claiming(1, 65'535)), ::testing::Not(HasSubstr("max_side")));
}

TEST(DecodeFaults, TruncationIsNamed) {
  for (const char* name : kPictures) {
    const std::string whole = read_data(name);
    EXPECT_THAT(decode_error(whole.substr(0, whole.size() - 1)), HasSubstr("truncated")) << name;
    EXPECT_THAT(decode_error(whole.substr(0, whole.size() * 3 / 4)), HasSubstr("truncated")) << name;
  }
}

TEST(DecodeFaults, BytesBehindTheEndAreIgnored) {
  for (const char* name : kPictures) EXPECT_EQ(decode_error(read_data(name) + "appended by a camera"), "decoded") << name;
}

TEST(DecodeFaults, AnyChangedPngByteIsAnError) {
  // Every chunk has a checksum, so no changed byte goes unseen.
  const std::string whole = read_data("exif6_behind.png");
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    ASSERT_NE(decode_error(changed), "decoded") << at;
  }
}

TEST(DecodeFaults, BombsAreRefusedOnTheirHeader) {
  const double seconds = seconds_of([] {
    EXPECT_THAT(decode_error(png_claiming(65535, 65535)), HasSubstr("65535 x 65535 pixels is more than the limit of 50000000"));
    // Within the limit, but more than the file's bytes can unpack to.
    EXPECT_THAT(decode_error(png_claiming(7000, 7000)), HasSubstr("can't hold 7000 x 7000 pixels"));
    EXPECT_THAT(decode_error(png_claiming(0x7fffffff, 0x7fffffff)), HasSubstr("more than the limit"));
    EXPECT_THAT(decode_error(png_claiming(0xffffffff, 1)), HasSubstr("more than the limit"));
  });
  EXPECT_LT(seconds, 1);
}

TEST(DecodeFaults, ZeroSizesAreNamed) {
  EXPECT_THAT(decode_error(png_claiming(0, 5)), HasSubstr("0 x 5 pixels; each side must be at least 1"));
  EXPECT_THAT(decode_error(png_claiming(5, 0)), HasSubstr("5 x 0 pixels"));
  std::string jpeg = read_data("rgb.jpg");
  const size_t frame = jpeg.find("\xff\xc0"s);
  jpeg[frame + 5] = jpeg[frame + 6] = 0;
  EXPECT_THAT(decode_error(jpeg), HasSubstr("13 x 0 pixels"));
}

TEST(DecodeFaults, PackedTextsAreSkippedNotUnpacked) {
  // 100 MB of text in 100 kB, before the pixels.
  std::string text(100'000'000, 'a');
  std::string packed(compressBound(text.size()), 0);
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(text.data()), text.size());
  packed.resize(size);
  std::string png = read_data("rgb_interlaced.png");
  for (const char* name : {"zTXt", "iCCP"}) png.insert(8 + 25, png_chunk(name, "note\0\0"s + packed));
  std::string error;
  EXPECT_LT(seconds_of([&] { error = decode_error(png); }), 0.5);
  EXPECT_EQ(error, "decoded");
}

TEST(DecodeFaults, TenThousandJpegScansAreRefused) {
  const std::string jpeg = read_data("grey_progressive.jpg");
  // The second pass over the DC coefficients (Ss 0, Se 0, Ah 1, Al 0) may be repeated without end.
  const size_t header = jpeg.find("\xff\xda\0\x08\1\1\0\0\0\x10"s);
  ASSERT_NE(header, jpeg.npos);
  const size_t end =
      jpeg.find("\xff\xc4"s, header) != jpeg.npos ? jpeg.find("\xff\xc4"s, header) : jpeg.find("\xff\xda"s, header + 2);
  const std::string scan = jpeg.substr(header, end - header);
  std::string long_jpeg = jpeg.substr(0, end);
  for (int i = 0; i < 10'000; ++i) long_jpeg += scan;
  long_jpeg += jpeg.substr(end);
  std::string error;
  EXPECT_LT(seconds_of([&] { error = decode_error(long_jpeg); }), 1);
  EXPECT_THAT(error, HasSubstr("more than 500 scans"));
}

TEST(DecodeFaults, TheExtensionDoesNotMatter) {
  const std::filesystem::path path = std::filesystem::path(::testing::TempDir()) / "ocelli_really_a_png.jpg";
  write_file_atomic(path, read_data("photo.png"));
  EXPECT_EQ(largest_difference(load(path), load(data_path("photo.png"))), 0);
  std::filesystem::remove(path);
}

TEST(DecodeFaults, BrokenExifIsIgnored) {
  std::string jpeg = read_data("exif8.jpg");
  const Image stored = load(data_path("exif8.jpg"), DecodeOptions::pillow());
  const size_t block = jpeg.find("Exif");
  for (size_t at = block + 6; at < block + 28; ++at) {
    std::string changed = jpeg;
    changed[at] = '\x7f';
    const Image image = decode_text(changed);
    EXPECT_EQ(image.pixels.size(), stored.pixels.size()) << at;
  }
  jpeg[block + 6] = 'X';
  EXPECT_EQ(largest_difference(decode_text(jpeg), stored), 0);
}

TEST(DecodeFaults, WebpFrameOutsideItsCanvasIsAnError) {
  std::string webp = read_data("animated.webp");
  const size_t frame = webp.find("ANMF");
  webp[frame + 8] = 1;  // two pixels to the right
  EXPECT_THAT(decode_error(webp), HasSubstr("outside its canvas of 13 x 9"));
}

}  // namespace
}  // namespace ocelli::image
