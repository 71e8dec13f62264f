#pragma once

#include <string_view>

#include "ocelli/text/jinja_runtime.h"

namespace ocelli::text::jinja {

using Filter = Value (*)(Runtime&, const Value& input, const Arguments&);
using Test = bool (*)(Runtime&, const Value& input, const Arguments&);

/// Null when there is no filter or test of that name.
Filter find_filter(std::string_view name);
Test find_test(std::string_view name);

/// By name; throws Error when there is none. What map() and select() do with the name in their arguments.
Value apply_filter(Runtime& runtime, std::string_view name, const Value& input, const Arguments& arguments);
bool apply_test(Runtime& runtime, std::string_view name, const Value& input, const Arguments& arguments);

/// A function every template sees (`range`, `namespace`, `raise_exception`, …); null when there is none.
CallableObject* find_global(std::string_view name);

namespace filters {

// Each as the filter of that name in jinja2.filters; `tojson` as transformers replaces it.
Value abs(Runtime&, const Value&, const Arguments&);
Value attr(Runtime&, const Value&, const Arguments&);
Value batch(Runtime&, const Value&, const Arguments&);
Value capitalize(Runtime&, const Value&, const Arguments&);
Value center(Runtime&, const Value&, const Arguments&);
Value default_value(Runtime&, const Value&, const Arguments&);
Value dictsort(Runtime&, const Value&, const Arguments&);
Value escape(Runtime&, const Value&, const Arguments&);
Value first(Runtime&, const Value&, const Arguments&);
Value float_value(Runtime&, const Value&, const Arguments&);
Value forceescape(Runtime&, const Value&, const Arguments&);
Value format(Runtime&, const Value&, const Arguments&);
Value groupby(Runtime&, const Value&, const Arguments&);
Value indent(Runtime&, const Value&, const Arguments&);
Value int_value(Runtime&, const Value&, const Arguments&);
Value items(Runtime&, const Value&, const Arguments&);
Value join(Runtime&, const Value&, const Arguments&);
Value last(Runtime&, const Value&, const Arguments&);
Value length(Runtime&, const Value&, const Arguments&);
Value list(Runtime&, const Value&, const Arguments&);
Value lower(Runtime&, const Value&, const Arguments&);
Value map(Runtime&, const Value&, const Arguments&);
Value max(Runtime&, const Value&, const Arguments&);
Value min(Runtime&, const Value&, const Arguments&);
Value reject(Runtime&, const Value&, const Arguments&);
Value rejectattr(Runtime&, const Value&, const Arguments&);
Value replace(Runtime&, const Value&, const Arguments&);
Value reverse(Runtime&, const Value&, const Arguments&);
Value round(Runtime&, const Value&, const Arguments&);
Value safe(Runtime&, const Value&, const Arguments&);
Value select(Runtime&, const Value&, const Arguments&);
Value selectattr(Runtime&, const Value&, const Arguments&);
Value slice(Runtime&, const Value&, const Arguments&);
Value sort(Runtime&, const Value&, const Arguments&);
Value string(Runtime&, const Value&, const Arguments&);
Value sum(Runtime&, const Value&, const Arguments&);
Value title(Runtime&, const Value&, const Arguments&);
Value tojson(Runtime&, const Value&, const Arguments&);
Value trim(Runtime&, const Value&, const Arguments&);
Value truncate(Runtime&, const Value&, const Arguments&);
Value unique(Runtime&, const Value&, const Arguments&);
Value upper(Runtime&, const Value&, const Arguments&);
Value wordcount(Runtime&, const Value&, const Arguments&);

}  // namespace filters
}  // namespace ocelli::text::jinja
