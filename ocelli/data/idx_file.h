#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace ocelli::data {

/// An array of bytes in the idx format of MNIST and its relatives: big-endian magic 0x000008NN (NN dimensions),
/// one 32-bit size a dimension, then the values. Source: yann.lecun.com/exdb/mnist, "The IDX file format".
struct IdxFile {
  std::vector<int64_t> shape;   ///< e.g. [60000, 28, 28], pictures in raster order
  std::vector<uint8_t> values;  ///< product of shape bytes, last dimension fastest
};

/// Reads an idx file of unsigned bytes, gzip-compressed or plain. `dimensions` is how many the caller expects.
/// Throws Error naming the path and what is wrong: unreadable, wrong magic, a size of 0 or an implausible one,
/// truncated or damaged, bytes after the last value. Memory grows with the bytes really there, not with
/// what the header claims.
IdxFile read_idx(const std::filesystem::path& path, int dimensions);

}  // namespace ocelli::data
