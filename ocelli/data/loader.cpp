#include "ocelli/data/loader.h"

#include "ocelli/base/error.h"
#include "ocelli/base/stopwatch.h"

namespace ocelli::data {

Loader::Loader(const Mixture& mixture, const SampleEncoder& encoder, int64_t position, int threads, int64_t ahead)
    : mixture_(mixture), encoder_(encoder), next_position_(position), pool_(threads) {
  for (int64_t i = 0; i < ahead; ++i) submit();
}

void Loader::submit() {
  const int64_t position = next_position_++;
  queue_.push_back(pool_.submit([this, position] {
    Item item;
    item.position = position;
    item.draw = mixture_.at(position);
    const Dataset& source = *mixture_.sources()[static_cast<size_t>(item.draw.source)].data;
    try {
      item.sample = std::make_shared<const EncodedSample>(encoder_.encode(source.get(item.draw.index)));
    } catch (const Error& error) {
      item.fault = error.what();
    } catch (const std::exception& error) {  // memory that ran out, say: one sample's trouble, not the run's
      item.fault = fmt::format("sample {} of data {} could not be prepared: {}", item.draw.index, source.name(), error.what());
    }
    return item;
  }));
}

Loader::Item Loader::next() {
  const Stopwatch watch;
  Item item = queue_.front().get();
  waited_seconds_ += watch.seconds();
  queue_.pop_front();
  submit();
  return item;
}

}  // namespace ocelli::data
