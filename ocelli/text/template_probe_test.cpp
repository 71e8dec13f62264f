// Renders what tests/parity/test_template.py asks for; skipped when run by hand.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "ocelli/text/builtin_templates.h"
#include "ocelli/text/chat_template.h"

namespace ocelli::text {
namespace {

OrderedJson answer(const OrderedJson& request) {
  OrderedJson out;
  try {
    const std::string source = request.contains("builtin") ? builtin_template(request.at("builtin").get<std::string>())
                                                           : request.at("template").get<std::string>();
    out["text"] = ChatTemplate(source).render(request.at("variables"));
    if (request.contains("builtin")) out["template"] = source;
  } catch (const Error& error) {
    out["error"] = error.what();
  }
  return out;
}

/// OCELLI_PROBE: lines {"template" or "builtin": a name, "variables"}. OCELLI_TEST_OUT: a line {"text"} (of a builtin one the
/// "template" too) or {"error"} for each.
TEST(TemplateProbe, AnswersRequests) {
  const char* requests = std::getenv("OCELLI_PROBE");
  const char* answers = std::getenv("OCELLI_TEST_OUT");
  if (requests == nullptr || answers == nullptr) GTEST_SKIP() << "OCELLI_PROBE and OCELLI_TEST_OUT are not set";
  std::ifstream in(requests);
  std::ofstream out(answers);
  ASSERT_TRUE(in && out);
  for (std::string line; std::getline(in, line);) out << answer(OrderedJson::parse(line)).dump() << '\n';
}

}  // namespace
}  // namespace ocelli::text
