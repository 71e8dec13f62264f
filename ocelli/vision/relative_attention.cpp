#include "ocelli/vision/relative_attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace ocelli::vision {
namespace {

/// Bytes of scores held at once. Measured with two threads on 12 heads of 4096 patches and on 25 windows of 196: 1 MiB is up to
/// three times slower, more gains nothing.
constexpr int64_t kScoreBytes = 16 << 20;

/// Calls work(first group, last, first row, last) over blocks whose scores fill kScoreBytes: whole groups where one fits.
template <typename Work>
void for_each_block(int64_t groups, int64_t length, int64_t element, const Work& work) {
  const int64_t row_bytes = length * element;
  const int64_t group_step = std::clamp<int64_t>(kScoreBytes / (row_bytes * length), 1, groups);
  const int64_t row_step = std::clamp<int64_t>(kScoreBytes / row_bytes, 1, length);
  for (int64_t group = 0; group < groups; group += group_step) {
    for (int64_t row = 0; row < length; row += row_step) {
      work(group, std::min(groups, group + group_step), row, std::min(length, row + row_step));
    }
  }
}

/// The tensors of one block; `rows` and `columns` hold the two added terms [g, t, window rows] and [g, t, window columns].
struct Block {
  at::Tensor query, key, value, rows, columns;

  at::Tensor attend(double scale) const {
    const at::Tensor bias = (rows.unsqueeze(3) + columns.unsqueeze(2)).flatten(2);
    return at::scaled_dot_product_attention(query.unsqueeze(0), key.unsqueeze(0), value.unsqueeze(0), bias.unsqueeze(0), 0, false,
                                            scale)
        .squeeze(0);
  }
};

struct RelativeAttention : torch::autograd::Function<RelativeAttention> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& query, const at::Tensor& key,
                            const at::Tensor& value, const at::Tensor& rows, const at::Tensor& columns, double scale) {
    at::Tensor out = at::empty_like(query, at::MemoryFormat::Contiguous);
    for_each_block(query.size(0), query.size(1), query.element_size(), [&](int64_t g0, int64_t g1, int64_t t0, int64_t t1) {
      const auto part = [&](const at::Tensor& x) { return x.slice(0, g0, g1).slice(1, t0, t1); };
      const Block block{part(query), key.slice(0, g0, g1), value.slice(0, g0, g1), part(rows), part(columns)};
      part(out).copy_(block.attend(scale));
    });
    context->save_for_backward({query, key, value, rows, columns});
    context->saved_data["scale"] = scale;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const double scale = context->saved_data["scale"].toDouble();
    torch::autograd::variable_list out;
    for (const at::Tensor& input : saved) out.push_back(at::zeros_like(input));
    for_each_block(saved[0].size(0), saved[0].size(1), saved[0].element_size(),
                   [&](int64_t g0, int64_t g1, int64_t t0, int64_t t1) {
                     const auto part = [&](const at::Tensor& x, size_t input) {
                       const at::Tensor groups = x.slice(0, g0, g1);
                       return input == 1 || input == 2 ? groups : groups.slice(1, t0, t1);  // every row sees all keys and values
                     };
                     torch::autograd::variable_list leaves;
                     for (size_t i = 0; i < saved.size(); ++i) leaves.push_back(part(saved[i], i).detach().requires_grad_(true));
                     at::Tensor attended;
                     {
                       at::AutoGradMode enable(true);
                       attended = Block{leaves[0], leaves[1], leaves[2], leaves[3], leaves[4]}.attend(scale);
                     }
                     const auto partial = torch::autograd::grad({attended}, leaves, {part(gradients[0], 0)});
                     for (size_t i = 0; i < saved.size(); ++i) part(out[i], i).add_(partial[i]);
                   });
    out.emplace_back();
    return out;
  }
};

/// table [2 n - 1, E] to [n, n, E]: entry (i, j) is that of i - j.
at::Tensor by_offset(const at::Tensor& table, int64_t n) {
  const at::Tensor index = at::arange(n, table.options().dtype(at::kLong));
  return table.index({index.unsqueeze(1) - index.unsqueeze(0) + (n - 1)});
}

}  // namespace

at::Tensor relative_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                              const at::Tensor& relative_rows, const at::Tensor& relative_columns, image::Grid window,
                              double scale) {
  const int64_t groups = query.size(0), width = query.size(2), rows = window.rows, columns = window.columns;
  const at::Tensor cells = query.view({groups, rows, columns, width});
  // One product for all queries of a row, respectively a column: [rows, G * columns, E] x [rows, E, rows].
  const at::Tensor row_scores =
      at::bmm(cells.transpose(0, 1).reshape({rows, groups * columns, width}), by_offset(relative_rows, rows).transpose(1, 2))
          .view({rows, groups, columns, rows})
          .transpose(0, 1)
          .reshape({groups, rows * columns, rows});
  const at::Tensor column_scores = at::bmm(cells.permute({2, 0, 1, 3}).reshape({columns, groups * rows, width}),
                                           by_offset(relative_columns, columns).transpose(1, 2))
                                       .view({columns, groups, rows, columns})
                                       .permute({1, 2, 0, 3})
                                       .reshape({groups, rows * columns, columns});
  return RelativeAttention::apply(query, key, value, row_scores, column_scores, scale);
}

}  // namespace ocelli::vision
