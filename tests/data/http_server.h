#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>

// Serves fixed answers over HTTP on 127.0.0.1, one request a connection.
class HttpServer {
 public:
  struct Answer {
    std::string body;
    int status = 200;
    size_t cut = std::string::npos;  // bytes of the body really sent before the connection closes
    std::string location = {};       // of a redirection
  };

  explicit HttpServer(std::map<std::string, Answer> answers)
      : answers_(std::move(answers)), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ::bind(socket_, reinterpret_cast<sockaddr*>(&address), length);
    ::listen(socket_, 8);
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~HttpServer() {
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
  }
  HttpServer(const HttpServer&) = delete;

  const std::string& url() const { return url_; }
  int requests() const { return requests_; }

 private:
  void serve() {
    for (int peer; (peer = ::accept(socket_, nullptr, nullptr)) >= 0; ::close(peer)) {
      std::string request;
      char buffer[1024];
      for (ssize_t n; request.find("\r\n\r\n") == std::string::npos && (n = ::recv(peer, buffer, sizeof buffer, 0)) > 0;) {
        request.append(buffer, size_t(n));
      }
      ++requests_;
      size_t begin = request.find(' ') + 1;
      auto found = answers_.find(request.substr(begin, request.find(' ', begin) - begin));
      Answer answer = found != answers_.end() ? found->second : Answer{"not here", 404};
      std::string text = "HTTP/1.1 " + std::to_string(answer.status) +
                         " x\r\nConnection: close\r\nContent-Length: " + std::to_string(answer.body.size()) + "\r\n";
      if (!answer.location.empty()) text += "Location: " + answer.location + "\r\n";
      text += "\r\n" + answer.body.substr(0, answer.cut);
      for (size_t sent = 0; sent < text.size();) {
        ssize_t n = ::send(peer, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) break;
        sent += size_t(n);
      }
    }
  }

  std::map<std::string, Answer> answers_;
  int socket_;
  std::string url_;
  std::atomic<int> requests_ = 0;
  std::thread thread_;
};
