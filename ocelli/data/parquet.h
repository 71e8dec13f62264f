#pragma once

#include <memory>

#include "ocelli/data/dataset.h"

namespace ocelli::data {

/// Parquet files with embedded pictures as Hugging Face's data sets have them; for the columns see read_table_row(). `path`: a
/// file, a pattern `train-{00000..00009}-of-00010.parquet`, or a folder of `*.parquet` (else of its folder `data`), of which
/// `split` takes the files called `<split>-…`.
///
/// Opening reads the footers. A row is read by decoding its row group; the groups used last stay decoded, up to 1 GiB or the one
/// in use. Rows read in order cost each group once; rows in any order are as fast as groups are small (100 rows are good).
std::shared_ptr<const Dataset> open_parquet(const DatasetOptions& options);

/// Writes ParquetRecords, about 100 rows or 64 MiB to a row group, see ParquetWriter. Pictures keep their bytes. Turns become
/// `messages`; what a LLaVA record has beside them becomes the JSON text of `extra`. Shards of `shard_samples` are called
/// `name-000000.parquet`, see ShardFiles.
std::unique_ptr<SampleWriter> write_parquet(const WriterOptions& options);

}  // namespace ocelli::data
