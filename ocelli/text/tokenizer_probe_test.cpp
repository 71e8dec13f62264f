// Answers tests/parity/test_tokenizer.py, which holds the answers against the `tokenizers` package.

#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>
#include <string>

#include "ocelli/base/file.h"
#include "ocelli/base/json.h"
#include "ocelli/text/tokenizer.h"

namespace ocelli::text {
namespace {

Json encode_all(const Json& request) {
  const auto tokenizer = load_tokenizer(request.at("tokenizer").get<std::string>());
  Json ids = Json::array(), decoded = Json::array(), plain = Json::array();
  for (const Json& text : request.at("texts")) {
    const auto encoded = tokenizer->encode(text.get<std::string>(), request.value("add_special", true));
    ids.push_back(encoded);
    decoded.push_back(tokenizer->decode(encoded, false));
    plain.push_back(tokenizer->decode(encoded, true));
  }
  return {{"ids", ids}, {"decoded", decoded}, {"plain", plain}, {"vocab_size", tokenizer->vocab_size()}};
}

Json train(const Json& request) {
  const Json& options = request.at("train");
  const Json document = train_byte_level_bpe(options.at("texts").get<std::vector<std::string>>(),
                                             {.vocab_size = options.at("vocab_size").get<int64_t>(),
                                              .min_frequency = options.at("min_frequency").get<int64_t>(),
                                              .special_tokens = options.at("special_tokens").get<std::vector<std::string>>()});
  write_file_atomic(request.at("out").get<std::string>(), document.dump());
  return {{"written", true}};
}

// OCELLI_PROBE: a file of requests, one JSON object a line: {"tokenizer", "texts", "add_special"} or {"train", "out"}.
// OCELLI_TEST_OUT: the file that gets one answer a line, {"error"} where the request failed.
TEST(TokenizerProbe, AnswersRequests) {
  const char* requests = std::getenv("OCELLI_PROBE");
  const char* out = std::getenv("OCELLI_TEST_OUT");
  if (requests == nullptr || out == nullptr) GTEST_SKIP() << "OCELLI_PROBE and OCELLI_TEST_OUT are not set";
  std::istringstream lines(read_file(requests));
  std::string answers;
  for (std::string line; std::getline(lines, line);) {
    Json answer;
    try {
      const Json request = parse_json(line, "request");
      answer = request.contains("train") ? train(request) : encode_all(request);
    } catch (const Error& error) {
      answer = {{"error", error.what()}};
    }
    answers += answer.dump() + "\n";
  }
  write_file_atomic(out, answers);
}

}  // namespace
}  // namespace ocelli::text
