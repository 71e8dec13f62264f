#include "ocelli/text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace ocelli::text {
namespace {

using testing::HasSubstr;

const OrderedJson kVariables = OrderedJson::parse(R"({
  "messages": [{"role": "user", "content": "Hi"},
               {"role": "assistant", "content": [{"type": "image"}, {"type": "text", "text": "a cat"}]}],
  "add_generation_prompt": true, "n": 7, "nothing": null, "big": 18446744073709551615
})");

std::string render(std::string_view source, const TemplateLimits& limits = {}) {
  return ChatTemplate(source, limits).render(kVariables);
}

/// The error's text, or "no error: " and what was rendered.
std::string error_of(std::string_view source, const TemplateLimits& limits = {}) {
  try {
    return "no error: " + render(source, limits);
  } catch (const Error& error) {
    return error.what();
  }
}

std::string repeat(std::string_view text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

TEST(ChatTemplate, RendersChatml) {
  EXPECT_EQ(render("{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
                   "{% if m.content is string %}{{ m.content }}{% else %}"
                   "{% for c in m.content %}{{ '<image>' if c.type == 'image' else c.text }}{% endfor %}{% endif %}<|im_end|>\n"
                   "{% endfor %}\n{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<image>a cat<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, TrimsBlocksAndStripsTheirIndentation) {
  EXPECT_EQ(render("a\n  {% if n %}\n  b\n  {% endif %}\nc\n"), "a\n  b\nc");
  EXPECT_EQ(render("a\n  {%+ if n +%}\n  b{%- endif -%} \n c"), "a\n  \n  bc");
  EXPECT_EQ(render("  {{ n }}  {#- gone -#}  x"), "  7x");
}

TEST(ChatTemplate, PrintsValuesAsPythonDoes) {
  EXPECT_EQ(render("{{ [1, 2.0, true, none, 'it\\'s', (1,), {'a': 1e16}] }}"),
            R"([1, 2.0, True, None, "it's", (1,), {'a': 1e+16}])");
  EXPECT_EQ(render("{{ big }} {{ 7 // -2 }} {{ -7 % 3 }} {{ 1 / 3 }} {{ 2 ** 100 }}"),
            "18446744073709551615 -4 2 0.3333333333333333 1267650600228229401496703205376");
}

TEST(ChatTemplate, KeepsWhatALoopSetsInsideIt) {
  EXPECT_EQ(render("{% set x = 1 %}{% for i in [1, 2] %}{% set x = 5 %}{% endfor %}{{ x }}"), "1");
  EXPECT_EQ(render("{% set ns = namespace(x=1) %}{% for i in [1, 2] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}"), "4");
}

TEST(ChatTemplate, ReadsAGeneratorOnce) {
  EXPECT_EQ(render("{% set g = messages | map(attribute='role') %}{{ g | list }}{{ g | list }}"), "['user', 'assistant'][]");
}

TEST(ChatTemplate, WritesJsonAsTransformersDoes) {
  EXPECT_EQ(render("{{ {'k': ['<é>', 1.5, none]} | tojson }}"), R"({"k": ["<é>", 1.5, null]})");
  EXPECT_EQ(render("{{ {'k': []} | tojson(indent=2) }}"), "{\n  \"k\": []\n}");
}

TEST(ChatTemplate, TellsUndefinedFromNone) {
  EXPECT_EQ(render("[{{ missing }}{{ nothing }}{{ missing is defined }}{{ nothing is defined }}]"), "[NoneFalseTrue]");
  EXPECT_THAT(error_of("{{ missing.x }}"), HasSubstr("'missing' is undefined"));
  EXPECT_THAT(error_of("\n  {{ n + missing }}"), HasSubstr("line 2, column 6: 'missing' is undefined"));
}

TEST(ChatTemplate, PassesOnWhatTheTemplateRaises) {
  EXPECT_THAT(error_of("{{ raise_exception('roles must alternate') }}"), HasSubstr("roles must alternate"));
}

TEST(ChatTemplate, ForbidsWhatTheSandboxForbids) {
  for (const char* source : {"{{ messages.append(1) }}", "{{ messages[0].update({'a': 1}) }}", "{{ ''.__class__.mro() }}",
                             "{{ messages.clear() }}", "{% set ns = namespace() %}{% set ns._x = 1 %}"}) {
    EXPECT_THAT(error_of(source), HasSubstr("chat template, line 1")) << source;
  }
}

TEST(ChatTemplate, NamesThePlaceOfASyntaxError) {
  EXPECT_THAT(error_of("a\nb {% if n %}"), HasSubstr("line 2"));
  EXPECT_THAT(error_of("{% include 'x' %}"), HasSubstr("line 1, column 4: the tag 'include' isn't supported"));
  EXPECT_THAT(error_of("x\n\n{{ n | nofilter }}"), HasSubstr("line 3, column 8: there is no filter 'nofilter'"));
  EXPECT_THAT(error_of("{{ n | urlize }}"), HasSubstr("the filter 'urlize' isn't supported"));
  EXPECT_THAT(error_of("{{ (1, 2 }}"), HasSubstr("column 10"));
  EXPECT_THAT(error_of("{{ '\\N{BULLET}' }}"), HasSubstr("isn't supported"));
}

TEST(ChatTemplate, RefusesIntegersItCantHold) {
  EXPECT_THAT(error_of("{{ 2 ** 127 }}"), HasSubstr("beyond 128 bits"));
  EXPECT_THAT(error_of("{{ 170141183460469231731687303715884105727 + 1 }}"), HasSubstr("beyond 128 bits"));
  EXPECT_THAT(error_of("{{ -170141183460469231731687303715884105727 - 1 }}"), HasSubstr("beyond 128 bits"));
  EXPECT_THAT(error_of("{{ 9 ** 99999999 }}"), HasSubstr("beyond 128 bits"));
}

TEST(ChatTemplate, WantsAnObjectOfVariables) {
  EXPECT_THROW(ChatTemplate("x").render(OrderedJson::array()), Error);
}

TEST(ChatTemplateLimits, StopLongLoopsFast) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(error_of("{% for i in range(10**9) %}{% endfor %}"), HasSubstr("over the limit of 100000"));
  EXPECT_THAT(error_of("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"),
              HasSubstr("max_steps"));
  EXPECT_THAT(error_of("{{ [0] * 10**9 }}"), HasSubstr("max_steps"));
  // A bound that only a machine under heavy load or an unbounded loop misses.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(ChatTemplateLimits, StopGrowingText) {
  EXPECT_THAT(
      error_of("{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}"),
      HasSubstr("max_output_bytes"));
  EXPECT_THAT(error_of("{{ 'x' * 10**12 }}"), HasSubstr("max_output_bytes"));
  EXPECT_THAT(error_of("{{ 'x'.center(10**12) }}"), HasSubstr("max_output_bytes"));
  EXPECT_THAT(error_of("{{ '%1000000000d' % 1 }}"), HasSubstr("width"));
  EXPECT_THAT(error_of("{{ 'abc' | replace('', 'x' * 8000000) }}"), HasSubstr("max_output_bytes"));
  EXPECT_THAT(error_of("{{ 'a\nb' | indent(10**12) }}"), HasSubstr("max_output_bytes"));
  EXPECT_THAT(error_of("{% for i in range(100) %}{{ 'x' * 1000 }}{% endfor %}", {.max_output_bytes = 5000}),
              HasSubstr("max_output_bytes"));
  // 2^40 references to one list, printed.
  EXPECT_THAT(
      error_of("{% set ns = namespace(x=[]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}"),
      HasSubstr("chat template, line 1"));
}

TEST(ChatTemplateLimits, KeepMessagesShort) {
  EXPECT_LT(error_of("{{ " + repeat("9", 1'000'000) + " }}").size(), 5000U);
  EXPECT_LT(error_of("{{ raise_exception('é' * 1000000) }}").size(), 5000U);
}

TEST(ChatTemplateLimits, AllowManyVariables) {
  std::string source;
  for (int i = 0; i < 30'000; ++i) source += fmt::format("{{% set v{} = {} %}}", i, i);
  EXPECT_EQ(render(source + "{{ v0 }} {{ v31 }} {{ v29999 }} {% set v29999 = 1 %}{{ v29999 }}"), "0 31 29999 1");
}

TEST(ChatTemplateLimits, StopDeepSource) {
  const size_t deep = 10'000;
  EXPECT_THAT(error_of("{{ " + repeat("(", deep) + "1" + repeat(")", deep) + " }}"), HasSubstr("max_depth"));
  EXPECT_THAT(error_of("{{ " + repeat("[", deep) + repeat("]", deep) + " }}"), HasSubstr("max_depth"));
  EXPECT_THAT(error_of("{{ " + repeat("not ", deep) + "1 }}"), HasSubstr("max_depth"));
  EXPECT_THAT(error_of("{{ " + repeat("-", deep) + "1 }}"), HasSubstr("max_depth"));
  EXPECT_THAT(error_of("{{ " + repeat("1 if 1 else ", deep) + "1 }}"), HasSubstr("max_depth"));
  EXPECT_THAT(error_of(repeat("{% if 1 %}", deep)), HasSubstr("max_depth"));
}

TEST(ChatTemplateLimits, LetLongChainsThrough) {
  EXPECT_EQ(render("{{ 1" + repeat(" + 1", 10'000) + " }}"), "10001");
  EXPECT_EQ(render("{{ ''" + repeat(" ~ 'a'", 1000) + " }}"), repeat("a", 1000));
  EXPECT_EQ(render("{{ 'x'" + repeat(" | upper", 1000) + " }}"), "X");
  EXPECT_EQ(render("{% if 0 %}" + repeat("{% elif 0 %}", 1000) + "{% else %}y{% endif %}"), "y");
}

TEST(ChatTemplateLimits, StopDeepValuesAndCalls) {
  EXPECT_THAT(error_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), HasSubstr("max_depth"));
  EXPECT_THAT(error_of("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"), HasSubstr("max_depth"));
  const std::string nest = "{% set ns = namespace(x=[]) %}{% for i in range(50000) %}{% set ns.x = [ns.x] %}{% endfor %}";
  EXPECT_EQ(render(nest), "");  // a deep value is no harm until it is walked
  EXPECT_THAT(error_of(nest + "{{ ns.x }}"), HasSubstr("nest deeper"));
  EXPECT_THAT(error_of(nest + "{{ ns.x | tojson }}"), HasSubstr("nest deeper"));
  EXPECT_THAT(error_of("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}"), HasSubstr("nest deeper"));
  EXPECT_THAT(
      error_of("{% set ns = namespace(g=[1]) %}{% for i in range(50000) %}{% set ns.g = ns.g | map('string') %}{% endfor %}"
               "{{ ns.g | list }}"),
      HasSubstr("nest deeper"));
}

TEST(ChatTemplate, ServesSeveralThreads) {
  const ChatTemplate shared("{% for m in messages %}{{ m.role }}{{ loop.index }}{% endfor %}{{ 'x' ~ n }}");
  std::vector<std::string> results(4);
  std::vector<std::thread> threads;
  for (std::string& result : results) threads.emplace_back([&] { result = shared.render(kVariables); });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& result : results) EXPECT_EQ(result, "user1assistant2x7");
}

}  // namespace
}  // namespace ocelli::text
