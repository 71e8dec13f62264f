#include "ocelli/text/chat_template.h"

#include "ocelli/text/jinja_render.h"

namespace ocelli::text {

struct ChatTemplate::Program {
  jinja::Program parsed;
};

ChatTemplate::ChatTemplate(std::string_view source, const TemplateLimits& limits) : source_(source), limits_(limits) {
  // Published templates are under 100 KB; the bound keeps the tree of a hostile one small.
  constexpr size_t kMaxSource = 1 << 20;
  require(source.size() <= kMaxSource, "chat template: {} bytes of source are over the limit of {}", source.size(), kMaxSource);
  auto program = std::make_unique<Program>();
  jinja::parse(jinja::tokenize(source), limits.max_depth, program->parsed);
  program_ = std::move(program);
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::string ChatTemplate::render(const OrderedJson& variables) const {
  require(variables.is_object(), "chat template: the variables are a JSON {}, expected an object", variables.type_name());
  return jinja::render(program_->parsed, variables, limits_);
}

}  // namespace ocelli::text
