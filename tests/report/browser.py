"""A headless Chromium, spoken to over a pipe in the DevTools protocol: a page opened, used and looked at."""
import base64
import fcntl
import json
import os
import re
import shutil
import subprocess

# dygraphs 2.2 counts the points that it keeps on both sides of a zoomed window, so that lines reach its edges.
HARMLESS = re.compile(r"\d+ points out of X bounds:")


def find():
    """The browser's program, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    def __init__(self, program, profile, width=1400, height=1000):
        def far(pipe_end):  # away from 3 and 4, which Chromium reads and writes
            return fcntl.fcntl(pipe_end, fcntl.F_DUPFD, 10)

        (commands, self._to), (self._from, answers) = os.pipe(), os.pipe()
        commands, answers = far(commands), far(answers)
        self._log = open(os.path.join(os.path.dirname(profile), "browser.log"), "w")
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "bash", program, "--headless", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={profile}",
             f"--window-size={width},{height}", "about:blank"],
            pass_fds=(commands, answers), stdout=self._log, stderr=self._log)
        os.close(commands)
        os.close(answers)
        self._unread, self._count, self._session, self._loaded, self.complaints = b"", 0, None, False, []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        self.send("Performance.enable", timeDomain="threadTicks")

    def close(self):
        os.close(self._to)
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _receive(self):
        while b"\0" not in self._unread:
            piece = os.read(self._from, 1 << 16)
            if not piece:
                raise RuntimeError(f"the browser ended; see {self._log.name}")
            self._unread += piece
        message, self._unread = self._unread.split(b"\0", 1)
        message = json.loads(message)
        method, content = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.consoleAPICalled" and content["type"] in ("error", "warning", "assert"):
            words = " ".join(str(one.get("value", one.get("description"))) for one in content["args"])
            if not HARMLESS.match(words):
                self.complaints.append(words)
        elif method == "Runtime.exceptionThrown":
            details = content["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and content["entry"]["level"] in ("error", "warning"):
            self.complaints.append(content["entry"]["text"])
        return message

    def send(self, method, **params):
        """The answer to a command; what the page complains of meanwhile goes to self.complaints."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def open(self, path):
        self._loaded = False
        self.send("Page.navigate", url="file://" + os.path.abspath(path))
        while not self._loaded:
            self._receive()

    def resize(self, width, height):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def seconds_of_work(self):
        """How long the page's thread has worked for it, whatever else the machine did meanwhile."""
        return {one["name"]: one["value"] for one in self.send("Performance.getMetrics")["metrics"]}["TaskDuration"]

    def run(self, script):
        """What a script gives, once its promise is kept."""
        result = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", "the script failed"))
        return result["result"].get("value")

    def picture(self, path):
        """The whole page as a PNG."""
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.send("Page.captureScreenshot", captureBeyondViewport=True)["data"]))
