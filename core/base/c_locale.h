#pragma once

#include <locale.h>

namespace az {

// In its scope the C library reads and writes numbers on this thread by the rules of the C locale, whatever locale the program
// set. nlohmann's parser reads fractions with strtod, so every call of it stands in such a scope.
class CLocale {
 public:
  CLocale() : before_(::uselocale(plain())) {}
  ~CLocale() { ::uselocale(before_); }
  CLocale(const CLocale&) = delete;

 private:
  static locale_t plain() {
    static const locale_t locale = ::newlocale(LC_ALL_MASK, "C", nullptr);
    return locale;
  }
  locale_t before_;
};

}  // namespace az
