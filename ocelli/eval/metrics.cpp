#include "ocelli/eval/metrics.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <unordered_map>

namespace ocelli::eval {
namespace {

std::string trimmed(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return std::string(text);
}

std::string lowered(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

constexpr std::string_view kMarks = ";/[]\"{}()=+\\_-><@`,?!";

/// Contractions as the official table writes them: written without the apostrophe, and with it in the wrong place.
const std::unordered_map<std::string_view, std::string_view>& contractions() {
  static const std::unordered_map<std::string_view, std::string_view> kTable = {{"aint", "ain't"},
                                                                                {"arent", "aren't"},
                                                                                {"cant", "can't"},
                                                                                {"couldve", "could've"},
                                                                                {"couldnt", "couldn't"},
                                                                                {"couldn'tve", "couldn't've"},
                                                                                {"couldnt've", "couldn't've"},
                                                                                {"didnt", "didn't"},
                                                                                {"doesnt", "doesn't"},
                                                                                {"dont", "don't"},
                                                                                {"hadnt", "hadn't"},
                                                                                {"hadnt've", "hadn't've"},
                                                                                {"hadn'tve", "hadn't've"},
                                                                                {"hasnt", "hasn't"},
                                                                                {"havent", "haven't"},
                                                                                {"hed", "he'd"},
                                                                                {"hed've", "he'd've"},
                                                                                {"he'dve", "he'd've"},
                                                                                {"hes", "he's"},
                                                                                {"howd", "how'd"},
                                                                                {"howll", "how'll"},
                                                                                {"hows", "how's"},
                                                                                {"Id've", "I'd've"},
                                                                                {"I'dve", "I'd've"},
                                                                                {"Im", "I'm"},
                                                                                {"Ive", "I've"},
                                                                                {"isnt", "isn't"},
                                                                                {"itd", "it'd"},
                                                                                {"itd've", "it'd've"},
                                                                                {"it'dve", "it'd've"},
                                                                                {"itll", "it'll"},
                                                                                {"let's", "let's"},
                                                                                {"maam", "ma'am"},
                                                                                {"mightnt", "mightn't"},
                                                                                {"mightnt've", "mightn't've"},
                                                                                {"mightn'tve", "mightn't've"},
                                                                                {"mightve", "might've"},
                                                                                {"mustnt", "mustn't"},
                                                                                {"mustve", "must've"},
                                                                                {"neednt", "needn't"},
                                                                                {"notve", "not've"},
                                                                                {"oclock", "o'clock"},
                                                                                {"oughtnt", "oughtn't"},
                                                                                {"ow's'at", "'ow's'at"},
                                                                                {"'ows'at", "'ow's'at"},
                                                                                {"'ow'sat", "'ow's'at"},
                                                                                {"shant", "shan't"},
                                                                                {"shed've", "she'd've"},
                                                                                {"she'dve", "she'd've"},
                                                                                {"she's", "she's"},
                                                                                {"shouldve", "should've"},
                                                                                {"shouldnt", "shouldn't"},
                                                                                {"shouldnt've", "shouldn't've"},
                                                                                {"shouldn'tve", "shouldn't've"},
                                                                                {"somebody'd", "somebodyd"},
                                                                                {"somebodyd've", "somebody'd've"},
                                                                                {"somebody'dve", "somebody'd've"},
                                                                                {"somebodyll", "somebody'll"},
                                                                                {"somebodys", "somebody's"},
                                                                                {"someoned", "someone'd"},
                                                                                {"someoned've", "someone'd've"},
                                                                                {"someone'dve", "someone'd've"},
                                                                                {"someonell", "someone'll"},
                                                                                {"someones", "someone's"},
                                                                                {"somethingd", "something'd"},
                                                                                {"somethingd've", "something'd've"},
                                                                                {"something'dve", "something'd've"},
                                                                                {"somethingll", "something'll"},
                                                                                {"thats", "that's"},
                                                                                {"thered", "there'd"},
                                                                                {"thered've", "there'd've"},
                                                                                {"there'dve", "there'd've"},
                                                                                {"therere", "there're"},
                                                                                {"theres", "there's"},
                                                                                {"theyd", "they'd"},
                                                                                {"theyd've", "they'd've"},
                                                                                {"they'dve", "they'd've"},
                                                                                {"theyll", "they'll"},
                                                                                {"theyre", "they're"},
                                                                                {"theyve", "they've"},
                                                                                {"twas", "'twas"},
                                                                                {"wasnt", "wasn't"},
                                                                                {"wed've", "we'd've"},
                                                                                {"we'dve", "we'd've"},
                                                                                {"weve", "we've"},
                                                                                {"werent", "weren't"},
                                                                                {"whatll", "what'll"},
                                                                                {"whatre", "what're"},
                                                                                {"whats", "what's"},
                                                                                {"whatve", "what've"},
                                                                                {"whens", "when's"},
                                                                                {"whered", "where'd"},
                                                                                {"wheres", "where's"},
                                                                                {"whereve", "where've"},
                                                                                {"whod", "who'd"},
                                                                                {"whod've", "who'd've"},
                                                                                {"who'dve", "who'd've"},
                                                                                {"wholl", "who'll"},
                                                                                {"whos", "who's"},
                                                                                {"whove", "who've"},
                                                                                {"whyll", "why'll"},
                                                                                {"whyre", "why're"},
                                                                                {"whys", "why's"},
                                                                                {"wont", "won't"},
                                                                                {"wouldve", "would've"},
                                                                                {"wouldnt", "wouldn't"},
                                                                                {"wouldnt've", "wouldn't've"},
                                                                                {"wouldn'tve", "wouldn't've"},
                                                                                {"yall", "y'all"},
                                                                                {"yall'll", "y'all'll"},
                                                                                {"y'allll", "y'all'll"},
                                                                                {"yall'd've", "y'all'd've"},
                                                                                {"y'alld've", "y'all'd've"},
                                                                                {"y'all'dve", "y'all'd've"},
                                                                                {"youd", "you'd"},
                                                                                {"youd've", "you'd've"},
                                                                                {"you'dve", "you'd've"},
                                                                                {"youll", "you'll"},
                                                                                {"youre", "you're"},
                                                                                {"youve", "you've"}};
  return kTable;
}

const std::unordered_map<std::string_view, std::string_view>& numbers() {
  static const std::unordered_map<std::string_view, std::string_view> kTable = {
      {"none", "0"}, {"zero", "0"}, {"one", "1"},   {"two", "2"},   {"three", "3"}, {"four", "4"},
      {"five", "5"}, {"six", "6"},  {"seven", "7"}, {"eight", "8"}, {"nine", "9"},  {"ten", "10"}};
  return kTable;
}

/// Deletes a mark where the text writes it beside a blank, or where a comma stands between digits; else a blank takes its place.
/// Then dots that no digit follows go (the official pattern `(?!<=\d)(\.)(?!\d)`), at most 32 of them: its flags argument is
/// passed as the count.
std::string without_punctuation(const std::string& text) {
  bool comma_in_number = false;
  for (size_t i = 1; i + 1 < text.size(); ++i) {
    comma_in_number = comma_in_number || (text[i] == ',' && is_digit(text[i - 1]) && is_digit(text[i + 1]));
  }
  std::string out = text;
  for (const char mark : kMarks) {
    const bool beside_blank =
        text.find(std::string{mark, ' '}) != std::string::npos || text.find(std::string{' ', mark}) != std::string::npos;
    if (beside_blank || comma_in_number) {
      std::erase(out, mark);
    } else {
      std::replace(out.begin(), out.end(), mark, ' ');
    }
  }
  std::string dots;
  int removed = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    const bool goes = out[i] == '.' && removed < 32 && !(i + 1 < out.size() && is_digit(out[i + 1]));
    if (goes) {
      ++removed;
    } else {
      dots += out[i];
    }
  }
  return dots;
}

std::string with_plain_words(const std::string& text) {
  std::string out;
  const std::string lower = lowered(text);
  size_t at = 0;
  while (at < lower.size()) {
    while (at < lower.size() && std::isspace(static_cast<unsigned char>(lower[at])) != 0) ++at;
    size_t end = at;
    while (end < lower.size() && std::isspace(static_cast<unsigned char>(lower[end])) == 0) ++end;
    if (end == at) break;
    std::string word = lower.substr(at, end - at);
    at = end;
    if (const auto number = numbers().find(word); number != numbers().end()) word = number->second;
    if (word == "a" || word == "an" || word == "the") continue;
    if (const auto whole = contractions().find(word); whole != contractions().end()) word = whole->second;
    out += (out.empty() ? "" : " ") + word;
  }
  return out;
}

std::string blanks_only(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c == '\n' || c == '\t' ? ' ' : c;
  return trimmed(out);
}

}  // namespace

bool exact_match(std::string_view prediction, std::string_view reference) {
  return lowered(trimmed(prediction)) == lowered(trimmed(reference));
}

std::string vqa_normalized(std::string_view text) {
  return with_plain_words(without_punctuation(blanks_only(text)));
}

double vqa_accuracy(std::string_view prediction, std::span<const std::string> references) {
  if (references.empty()) return 0;
  std::string said = blanks_only(prediction);
  std::vector<std::string> answers;
  for (const std::string& reference : references) answers.push_back(blanks_only(reference));
  // The official code normalises only when people did not all say the same.
  if (std::set<std::string>(answers.begin(), answers.end()).size() > 1) {
    said = vqa_normalized(said);
    for (std::string& answer : answers) answer = vqa_normalized(answer);
  }
  double total = 0;
  for (size_t left_out = 0; left_out < answers.size(); ++left_out) {
    int equal = 0;
    for (size_t i = 0; i < answers.size(); ++i) equal += i != left_out && answers[i] == said ? 1 : 0;
    total += std::min(1.0, equal / 3.0);
  }
  return total / static_cast<double>(answers.size());
}

}  // namespace ocelli::eval
