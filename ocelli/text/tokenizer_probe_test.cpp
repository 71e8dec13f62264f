// Answers tests/parity/test_tokenizer.py, which holds the answers against the `tokenizers` package.

#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>
#include <string>

#include "ocelli/base/file.h"
#include "ocelli/base/json.h"
#include "ocelli/text/sentencepiece.h"
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

/// The model alone, without anything a folder adds: what the `sentencepiece` package answers.
Json encode_by_model(const Json& request) {
  const auto path = request.at("sentencepiece").get<std::string>();
  const SentencePiece model(parse_sentencepiece(read_file(path), path), path);
  Json ids = Json::array(), decoded = Json::array();
  for (const Json& text : request.at("texts")) {
    std::vector<int64_t> encoded;
    model.encode(text.get<std::string>(), encoded);
    ids.push_back(encoded);
  }
  for (const Json& list : request.at("decode")) decoded.push_back(model.decode(list.get<std::vector<int64_t>>(), true));
  return {{"ids", ids}, {"decoded", decoded}, {"vocab_size", model.size()}};
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

Json answer(const Json& request) {
  if (request.contains("train")) return train(request);
  return request.contains("sentencepiece") ? encode_by_model(request) : encode_all(request);
}

// OCELLI_PROBE: a file of requests, one JSON object a line: {"tokenizer", "texts", "add_special"},
// {"sentencepiece", "texts", "decode": lists of ids} or {"train", "out"}.
// OCELLI_TEST_OUT: the file that gets one answer a line, {"error"} where the request failed.
TEST(TokenizerProbe, AnswersRequests) {
  const char* requests = std::getenv("OCELLI_PROBE");
  const char* out = std::getenv("OCELLI_TEST_OUT");
  if (requests == nullptr || out == nullptr) GTEST_SKIP() << "OCELLI_PROBE and OCELLI_TEST_OUT are not set";
  std::istringstream lines(read_file(requests));
  std::string answers;
  for (std::string line; std::getline(lines, line);) {
    Json result;
    try {
      result = answer(parse_json(line, "request"));
    } catch (const Error& error) {
      result = {{"error", error.what()}};
    }
    answers += result.dump() + "\n";
  }
  write_file_atomic(out, answers);
}

}  // namespace
}  // namespace ocelli::text
