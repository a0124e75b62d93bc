#pragma once

#include <doctest/doctest.h>

#include <clocale>
#include <locale>
#include <string>

#include "tests/data/temporary_folder.h"
#include "tests/scoped_variable.h"

// Locales of other countries, compiled from the sources in the system's package "locales" into a folder of the test's own.
class ForeignLocales {
 public:
  // False where that cannot be done.
  bool make(const std::string& source, const std::string& charset, const std::string& name) const {
    const std::string command =
        "localedef -c -i " + source + " -f " + charset + " '" + (folder_.path / name).string() + "' >/dev/null 2>&1";
    return std::system(command.c_str()) == 0 && std::setlocale(LC_ALL, name.c_str()) && std::setlocale(LC_ALL, "C");
  }

 private:
  TemporaryFolder folder_;
  ScopedVariable path_{"LOCPATH", folder_.path.c_str()};
};

// The program's locale while it lives: that of C, too, where it has a name.
class ScopedLocale {
 public:
  explicit ScopedLocale(const std::locale& locale) : before_(std::locale::global(locale)) {}
  ~ScopedLocale() { std::locale::global(before_); }
  ScopedLocale(const ScopedLocale&) = delete;

 private:
  std::locale before_;
};
