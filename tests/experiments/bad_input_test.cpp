// What the program says, and returns, when it is given something wrong: one line, with place and remedy.
#include <doctest/doctest.h>

#include <fstream>

#include "core/base/files.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"
#include "tests/experiments/zero_cifar.h"

using az::read_file;
using az::write_file;
namespace fs = std::filesystem;

namespace {

// The one line that `azimuth check` says of a config in which `from` was replaced by `to`; the file's folder is left out.
std::string complaint(const std::string& from, const std::string& to) {
  TemporaryFolder folder;
  std::string text = tiny_config();
  REQUIRE(text.find(from) != std::string::npos);
  text.replace(text.find(from), from.size(), to);
  const std::string path = (folder.path / "exp.json").string();
  write_file(path, text);
  const CommandResult result = run_azimuth({"check", path});
  CHECK(result.exit == 2);
  CHECK(result.out == "");
  std::string line = result.err;
  for (size_t at; (at = line.find(folder.path.string() + "/")) != std::string::npos;)
    line.erase(at, folder.path.string().size() + 1);
  return line;
}

std::string cifar_config(const fs::path& root) {
  return R"({"data": {"type": "cifar10", "root": ")" + root.string() + R"("}, "model": {"type": "cifar_resnet"},
    "optimizer": {"type": "sgd", "lr": 0.1}})";
}

}  // namespace

TEST_CASE("config errors name file, line, column, path and remedy") {
  CHECK(complaint(R"("momentum")", R"("momentun")") ==
        "azimuth: exp.json:13:44: optimizer.momentun: unknown key; did you mean \"momentum\"?\n");
  CHECK(complaint(R"("seed": 3)", R"("seed": 3, "seed": 4)") ==
        "azimuth: exp.json:3:14: seed: duplicate key; remove it, or the one in line 3\n");
  CHECK(complaint(R"("lr": 0.1)", R"("lr": "fast")") ==
        "azimuth: exp.json:13:39: optimizer.lr: expected a number, got \"fast\"\n");
  CHECK(complaint(R"("lr": 0.1)", R"("lr": -1)") == "azimuth: exp.json:13:39: optimizer.lr: must be more than 0, got -1\n");
  CHECK(
      complaint(R"("type": "sgdp")", R"("type": "sgpd")") ==
      "azimuth: exp.json:13:25: optimizer.type: unknown optimizer \"sgpd\"; did you mean \"sgd\"? (known: \"adam\", \"adamp\", "
      "\"adamw\", \"muon\", \"sgd\", \"sgdp\")\n");
  CHECK(complaint(R"("epochs": 3)", R"("epochs": 0)") == "azimuth: exp.json:15:23: train.epochs: must be at least 1, got 0\n");
  CHECK(complaint(R"("epochs": 3)", R"("epochs": 2.5)") ==
        "azimuth: exp.json:15:23: train.epochs: expected an integer, got 2.5\n");
  CHECK(complaint(R"("epochs": 3)", R"("precision": "f16")") ==
        "azimuth: exp.json:15:26: train.precision: must be one of \"f32\", \"bf16\", got \"f16\"; did you mean \"bf16\"?\n");
  CHECK(complaint(R"("epochs": 3)", R"("average": {"type": "emma"})") ==
        "azimuth: exp.json:15:33: train.average.type: unknown weight average \"emma\"; did you mean \"ema\"? (known: "
        "\"ema\", \"lookahead\")\n");
  CHECK(complaint(R"("epochs": 3)", R"("average": {"type": "ema", "decay": 1})") ==
        "azimuth: exp.json:15:49: train.average.decay: must be less than 1, got 1\n");
  CHECK(complaint(R"("epochs": 3)", R"("evaluation": {"test_time_augmentation": "flop"})") ==
        "azimuth: exp.json:15:54: train.evaluation.test_time_augmentation: must be one of \"none\", \"flip\", "
        "\"flip_translate\", got \"flop\"; did you mean \"flip\"?\n");
  CHECK(complaint(R"({"type": "batch_norm"})", R"({"type": "batch_norm", "scale": false, "zero_gamma": true})") ==
        "azimuth: exp.json:7:5: model.layers.1: zero_gamma starts a scale at 0 that affine or scale switches off\n");
  CHECK(complaint(R"({"type": "batch_norm"})", R"({"type": "whitening", "eps": 0})") ==
        "azimuth: exp.json:7:34: model.layers.1.eps: must be more than 0, got 0\n");
  CHECK(complaint(R"({"type": "relu"})", R"({"type": "scale"})") ==
        "azimuth: exp.json:8:5: model.layers.2.factor: required key is missing\n");
  CHECK(complaint(R"("name": "tiny")", R"("name": "a/b")") ==
        "azimuth: exp.json:2:11: name: must be usable as the name of a folder: up to 200 bytes, no / and no control "
        "characters\n");
  CHECK(complaint(R"("name": "tiny")", R"("name": "a\u0000b")") ==
        "azimuth: exp.json:2:11: name: a string cannot hold the character \\u0000; remove it\n");
  for (const std::string& name : {std::string(".."), std::string("a\\nb"), std::string(201, 'x')})
    CHECK(complaint(R"("name": "tiny")", R"("name": ")" + name + '"').find(": name: must be usable") != std::string::npos);
  CHECK(complaint(R"("name": "tiny",)", R"("name": "tiny")") == "azimuth: exp.json:3:3: put a comma before \"seed\"\n");
  CHECK(complaint(R"("lr": 0.1)", R"("lr": .1)") == "azimuth: exp.json:13:39: optimizer.lr: JSON writes 0.1, not .1\n");
  CHECK(complaint(R"("nesterov": true)", R"("nesterov": True)") ==
        "azimuth: exp.json:13:73: optimizer.nesterov: JSON writes true, not True\n");
  CHECK(complaint(R"("lr": 0.1)", R"("lr": 1e400)") ==
        "azimuth: exp.json:13:39: optimizer.lr: 1e400 is too large; the largest number is 1.8e308\n");
  CHECK(complaint(R"("lr": 0.1)", R"("lr": 1e-400)") ==
        "azimuth: exp.json:13:39: optimizer.lr: 1e-400 is too close to 0 for a number; write 0\n");
  CHECK(complaint(R"("type": "sgdp")", R"("type": "SGDP")") ==
        "azimuth: exp.json:13:25: optimizer.type: unknown optimizer \"SGDP\"; did you mean \"sgdp\"? (known: \"adam\", "
        "\"adamp\", "
        "\"adamw\", \"muon\", \"sgd\", \"sgdp\")\n");
  for (const std::string key : {"Type", "typ", "kind", "name"})
    CHECK(complaint(R"("type": "sgdp")", '"' + key + R"(": "sgdp")")
              .find("optimizer.type: required key is missing; write it instead of \"" + key + "\" (known: ") !=
          std::string::npos);
  CHECK(complaint(R"("type": "sgdp")", R"("type": "AdamW")").find("; did you mean \"adamw\"? (") != std::string::npos);
  CHECK(complaint(R"("type": "shapes")", R"("type": "CIFAR10")").find("; did you mean \"cifar10\"? (") != std::string::npos);
  CHECK(complaint(R"("seed": 3)", R"("lr": 3)") ==
        "azimuth: exp.json:3:3: lr: unknown key here; it belongs in \"optimizer\"\n");
  CHECK(complaint(R"("epochs": 3)", R"("batch_size": 3)") ==
        "azimuth: exp.json:15:13: train.batch_size: unknown key here; it belongs in \"data\"\n");
  CHECK(complaint(R"("epochs": 3)", R"("seed": 3)") ==
        "azimuth: exp.json:15:13: train.seed: unknown key here; it belongs in the top level or \"data\"\n");
  CHECK(complaint(R"("seed": 3)", R"("padding": 3)").find("; it is an option of the ") != std::string::npos);
  CHECK(complaint(R"("type": "sgdp")", R"("type": "adamp")") ==
        "azimuth: exp.json:13:45: optimizer.momentum: unknown key of \"adamp\"; it is an option of the optimizers \"muon\", "
        "\"sgd\" and \"sgdp\"\n");
  CHECK(complaint(R"("seed": 3)", R"("learning-rate": 3)") ==
        "azimuth: exp.json:3:3: learning-rate: unknown key here; did you mean \"optimizer.lr\"?\n");
  CHECK(
      complaint(R"({"type": "cosine"})", R"("cosine")") ==
      "azimuth: exp.json:14:15: schedule: expected an object with a \"type\", got \"cosine\"; write {\"type\": \"cosine\"}\n");
  CHECK(complaint(R"("stride": 4)", R"("kernel": 50)") ==
        "azimuth: exp.json:6:5: model.layers.0: conv2d: the kernel is larger than the padded input (input [1,3,32,32], weight "
        "[8,3,50,50])\n");
  CHECK(complaint(R"("out_features": 10)", R"("out_features": 7)") ==
        "azimuth: exp.json:5:12: model: the last layer gives [1,7], the data's 10 classes need [1,10]; end with a linear layer "
        "of 10 out_features\n");
  CHECK(
      complaint(R"({"type": "global_avg_pool"},)", "") ==
      "azimuth: exp.json:11:5: model.layers.4: linear: takes [n,c], got [1,8,8,8]; put flatten or global_avg_pool before it\n");
  CHECK(complaint(R"("lr": 0.1)", R"("lr": 0.1, "groups": [{"pattern": "nothing.*", "weight_decay": 0}])") ==
        "azimuth: exp.json:13:16: optimizer: groups[0]: none of the 6 parameters (the first is \"0.weight\") fits pattern "
        "\"nothing.*\"; correct it or remove it\n");
  CHECK(complaint(R"("lr": 0.1, )", "") == "azimuth: exp.json:13:16: optimizer.lr: required key is missing\n");
  CHECK(complaint(R"("type": "sgdp")", R"("type": "muon")") ==
        "azimuth: exp.json:13:16: optimizer: muon: \"0.bias\" has 1 dimension, and muon moves matrices; name another optimizer "
        "for it in groups, as in {\"dims\": 1, \"optimizer\": {\"type\": \"sgd\", \"lr\": 0.1}}, or freeze it\n");
}

TEST_CASE("a size that is out of all reason is refused before it takes memory") {
  CHECK(complaint(R"("epochs": 3)", R"("threads": 4000000000)") ==
        "azimuth: exp.json:15:24: train.threads: must be at most 1024, got 4000000000\n");
  CHECK(complaint(R"("epochs": 3)", R"("epochs": 1000001)") ==
        "azimuth: exp.json:15:23: train.epochs: must be at most 1000000, got 1000001\n");
  CHECK(complaint(R"("epochs": 3)", R"("accumulate": 9223372036854775807)") ==
        "azimuth: exp.json:15:27: train.accumulate: must be at most 1000000, got 9223372036854775807\n");
  CHECK(complaint(R"("batch_size": 16)", R"("batch_size": 9223372036854775807)") ==
        "azimuth: exp.json:4:83: data.batch_size: must be at most 1000000, got 9223372036854775807\n");
  CHECK(complaint(R"("train_images": 60)", R"("train_images": 9000000000000000000)") ==
        "azimuth: exp.json:4:46: data.train_images: must be at most 10000000, got 9000000000000000000\n");
  CHECK(complaint(R"("test_images": 30)", R"("test_images": 10000001)") ==
        "azimuth: exp.json:4:65: data.test_images: must be at most 10000000, got 10000001\n");
  CHECK(complaint(R"({"type": "horizontal_flip"})", R"({"type": "random_crop", "padding": 4611686018427387904})") ==
        "azimuth: exp.json:4:134: data.augment.0.padding: must be at most 10000, got 4611686018427387904\n");
  CHECK(complaint(R"({"type": "horizontal_flip"})", R"({"type": "cutout", "size": 9223372036854775807})") ==
        "azimuth: exp.json:4:126: data.augment.0.size: must be at most 10000, got 9223372036854775807\n");
  for (const std::string& option :
       {std::string("kernel"), std::string("stride"), std::string("padding"), std::string("dilation")}) {
    CHECK(complaint(R"("out_channels": 8, "stride": 4, "padding": 1)",
                    R"("out_channels": 8, ")" + option + R"(": 9223372036854775807)")
              .find("model.layers.0." + option + ": must be at most 10000, got 9223372036854775807\n") != std::string::npos);
  }
  CHECK(complaint(R"("out_channels": 8)", R"("out_channels": 9223372036854775807)")
            .find("out_channels: must be at most 1000000, ") != std::string::npos);
  CHECK(complaint(R"("out_features": 10)", R"("out_features": 9223372036854775807)")
            .find("out_features: must be at most 1000000, ") != std::string::npos);
  CHECK(complaint(R"("linear", "out_features": 10)", R"("cosine_linear", "out_features": 9223372036854775807)")
            .find("out_features: must be at most 1000000, ") != std::string::npos);
}

TEST_CASE("check refuses what train would") {
  CHECK(complaint(R"("batch_size": 16)", R"("batch_size": 16, "validation": 60)") ==
        "azimuth: exp.json:4:101: data.validation: cannot take 60 of 60 samples; give a fraction below 1 or a whole number\n");
  CHECK(complaint(R"("batch_size": 16)", R"("batch_size": 16, "mean": [0.5], "std": [0.2])") ==
        "azimuth: exp.json:4:95: data.mean: takes one number for each of the 3 channels, got 1\n");
  CHECK(complaint(R"("batch_size": 16)", R"("batch_size": 61, "drop_last": true)") ==
        "azimuth: exp.json:4:100: data.drop_last: leaves no batch: 60 training images are fewer than batch_size 61\n");
  CHECK(complaint(R"({"type": "horizontal_flip"})", R"({"type": "random_crop", "mode": "reflect", "padding": 32})") ==
        "azimuth: exp.json:4:99: data.augment.0: random_crop: reflecting needs images larger than the padding of 32, got "
        "32x32\n");
}

TEST_CASE("overrides") {
  TemporaryFolder folder;
  const std::string path = (folder.path / "exp.json").string();
  write_file(path, tiny_config());
  const auto say = [&](const std::string& override_text) {
    const CommandResult result = run_azimuth({"check", path, "--set", override_text});
    CHECK(result.exit == 2);
    return result.err;
  };
  const CommandResult several =
      run_azimuth({"check", "--set", "name=a", "seed=7", path, "--set=train.epochs=3", "data.batch_size=8"});
  CHECK(several.exit == 0);
  CHECK(run_azimuth({"check", path, "--set", "name=a", "optimizer.lr=0"}).err ==
        "azimuth: --set optimizer.lr: must be more than 0, got 0\n");
  CHECK(say("optimizer.lr=0") == "azimuth: --set optimizer.lr: must be more than 0, got 0\n");
  CHECK(say("optimizer.rl=0.1") == "azimuth: --set optimizer.rl: unknown key; did you mean \"lr\"?\n");
  CHECK(say("optimizer.lr") == "azimuth: --set optimizer.lr: expected key=value, as in --set optimizer.lr=0.05\n");
  CHECK(say("optimizer..lr=1") == "azimuth: --set optimizer..lr: the path has an empty part; write it as in optimizer.lr\n");
  CHECK(say("model.layers.9.bias=1") ==
        "azimuth: --set model.layers.9.bias: \"9\" is no index into a list of 6; the first is 0\n");
  CHECK(say("lr=0.1") == "azimuth: --set lr: unknown key here; it belongs in \"optimizer\"\n");
  CHECK(say("optimizer.lr=.1") == "azimuth: --set optimizer.lr: expected a number, got \".1\"; write 0.1\n");
  CHECK(say("optimizer.lr=1e400") ==
        "azimuth: --set optimizer.lr: expected a number, got \"1e400\"; it is too large or too small\n");
  CHECK(say("log=csv") == "azimuth: --set log: expected a list, got \"csv\"; write it in brackets: [\"csv\"]\n");
  CHECK(say("optimizer={type: sgd}") == "azimuth: --set optimizer:1:2: put the key in double quotes: \"type\"\n");
  for (const char* name : {"123", "1.50", "true", "None"}) {
    const CommandResult result =
        run_azimuth({"check", path, "--set", std::string("name=") + name, "--set", "train.epochs=2.0"});
    CHECK(result.exit == 0);
  }
  CHECK(say("optimizer.lr=nan") ==
        "azimuth: --set optimizer.lr: expected a number, got \"nan\"; JSON has no nan; write a finite number\n");
  CHECK(say("train.clip_norm=None") == "azimuth: --set train.clip_norm: expected a number or null, got \"None\"; write null\n");
  CHECK(say("schedule=cosin") ==
        "azimuth: --set schedule: expected an object with a \"type\", got \"cosin\"; write {\"type\": \"cosine\"}\n");
  CHECK(say("data.mean=0.5") == "azimuth: --set data.mean: expected a list, got 0.5; give one number for each channel\n");
  CHECK(say(R"(data={"type": "cifar10", "root": "~/cifar"})") ==
        "azimuth: --set data: data.root: \"~/cifar\": the shell did not replace ~; write the folder in full\n");
  CHECK(say(R"(optimizer.groups=[{"lr": 1}])") ==
        "azimuth: --set optimizer.groups: optimizer.groups.0.lr: unknown key here; did you mean \"lr_factor\"? \"lr\" itself "
        "belongs in \"optimizer\"\n");
  CHECK(say("data.root=\xff") == "azimuth: --set data.root: must be UTF-8, as all JSON is\n");
}

TEST_CASE("the command line itself") {
  const auto say = [](const std::vector<std::string>& arguments) {
    const CommandResult result = run_azimuth(arguments);
    CHECK(result.exit == 2);
    CHECK(result.out == "");
    return result.err;
  };
  CHECK(say({"trian"}) == "azimuth: unknown command \"trian\"; did you mean \"train\"?; see azimuth --help\n");
  CHECK(say({}) == "azimuth: a command is missing; see azimuth --help\n");
  CHECK(say({"train"}) == "azimuth: config is required; see azimuth --help\n");
  CHECK(say({"train", "x.json", "--fast"}) == "azimuth: The following argument was not expected: --fast; see azimuth --help\n");
  const TemporaryFolder folder;
  const std::string absent = (folder.path / "absent").string();
  CHECK(say({"train", absent}) == "azimuth: " + absent + ": cannot be read; is the path right?\n");
  CHECK(say({"resume", absent}) == "azimuth: " + absent + " is not a run folder: it has no config.json\n");
  const std::string config = (folder.path / "exp.json").string(), sweep = (folder.path / "sweep.json").string();
  write_file(config, tiny_config());
  write_file(sweep, R"({"base": "exp.json", "grid": {"optimizer.lr": [0.1, 0.2]}})");
  for (const char* command : {"train", "check", "bench", "invariance"})
    CHECK(say({command, sweep}) ==
          "azimuth: " + sweep + ": this is a sweep, not an experiment; its runs are trained by: azimuth sweep " + sweep + "\n");
  CHECK(say({"sweep", config}) == "azimuth: " + config + ": this is an experiment, not a sweep; train it with: azimuth train " +
                                      config + ", or name it as the \"base\" of a sweep\n");
  for (const char* command : {"resume", "eval"})
    CHECK(say({command, config}) == "azimuth: " + config + " is a file; give the folder of a run, which azimuth train makes\n");
  CHECK(say({"train", config, "--run=~/run"}) ==
        "azimuth: --run: the shell did not replace ~ in ~/run; write the path in full; see azimuth --help\n");
  CHECK(say({"describe", "resnt"}) ==
        "azimuth: nothing is called \"resnt\"; did you mean \"resnet\"?; `azimuth describe` lists all names\n");
  CHECK(say({"data", "get", "cifar"}) == "azimuth: data set \"cifar\" cannot be fetched; known: cifar10, cifar100\n");
}

TEST_CASE("missing, truncated and corrupt data") {
  TemporaryFolder folder;
  const fs::path root = folder.path / "cifar";
  const std::string config = (folder.path / "exp.json").string();
  write_file(config, cifar_config(root));
  const auto say = [&] {
    const fs::path run = folder.path / "run";
    const CommandResult result = run_azimuth({"train", config, "--run", run.string()});
    CHECK(result.exit == 3);
    CHECK_FALSE(fs::exists(run));
    return result.err;
  };
  const std::string remedy = "; give \"root\" the folder of whole .bin files, such as `azimuth data get cifar10` gets\n";
  CHECK(say() ==
        "azimuth: cifar10: cannot read " + (root / "data_batch_1.bin").string() + ": No such file or directory" + remedy);
  write_zero_cifar(root);
  fs::resize_file(root / "data_batch_3.bin", 12345);
  CHECK(say() == "azimuth: cifar10: " + (root / "data_batch_3.bin").string() +
                     " ends in record 4: 12345 bytes, expected 30730000 (10000 records of 3073 bytes)" + remedy);
  write_zero_cifar(root);
  {
    std::fstream file(root / "test_batch.bin", std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(3073 * 7);
    file.put(char(10));
  }
  CHECK(say() == "azimuth: cifar10: " + (root / "test_batch.bin").string() +
                     ": record 7 (byte 21511) has label 10, expected 0 to 9" + remedy);
}

TEST_CASE("run folders") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string();
  write_file(config, tiny_config(R"({"epochs": 1})"));
  const std::string run = (folder.path / "run").string();
  fs::create_directories(run);
  write_file(run + "/precious", "kept");
  CommandResult result = run_azimuth({"train", config, "--run", run});
  CHECK(result.exit == 2);
  const std::string taken = "azimuth: the run folder " + run + " exists already; choose another";
  CHECK(result.err == taken + "\n");
  CHECK(read_file(run + "/precious") == "kept");
  CHECK(std::distance(fs::directory_iterator(run), fs::directory_iterator()) == 1);

  // One whose training was killed before its first checkpoint.
  fs::create_directories(run + "/checkpoints");
  write_file(run + "/config.json", read_file(config));
  CHECK(run_azimuth({"train", config, "--run", run}).err ==
        taken + ", or remove it, as it holds no checkpoint to go on from\n");

  fs::create_directories(run + "/checkpoints/last");
  CHECK(run_azimuth({"train", config, "--run", run}).err == taken + ", or continue it with: azimuth resume " + run + "\n");

  // Refused at once, whatever the rest is like.
  result = run_azimuth({"train", folder.path / "absent", "--run", run + "//"});
  CHECK(result.exit == 2);
  CHECK(result.err.find("azimuth: the run folder " + run + " exists already") == 0);

  for (const char* end : {"/", "/.", "/./", "//./."})
    CHECK(run_azimuth({"train", config, "--run", run + end}).err ==
          taken + ", or continue it with: azimuth resume " + run + "\n");
  CHECK(run_azimuth({"train", config, "--run", run + "/.."}).err ==
        "azimuth: the run folder " + run + "/.. ends in .., the folder above; name the folder to make\n");
  CHECK(run_azimuth({"train", config, "--run", folder.path.string() + "/new/.."}).exit == 2);
  CHECK_FALSE(fs::exists(folder.path / "new"));
  CHECK(run_azimuth({"train", config, "--run", "."}).err.find("azimuth: the run folder . exists already; ") == 0);
  CHECK(run_azimuth({"train", config, "--run", ""}).err ==
        "azimuth: --run: is empty; give a name or leave it out; see azimuth --help\n");
  CHECK(run_azimuth({"check", ""}).err == "azimuth: config: is empty; give a name or leave it out; see azimuth --help\n");

  result = run_azimuth({"train", config, "--run", config + "/run"});  // below a file
  CHECK(result.exit == 2);
  CHECK(result.err ==
        "azimuth: cannot make the run folder " + config + "/run: Not a directory; choose another place with --run DIR\n");
  result = run_azimuth({"train", folder.path / "absent", "--run", std::string(300, 'x')});
  CHECK(result.exit == 2);
  CHECK(result.err.find("File name too long; choose another place with --run DIR\n") != std::string::npos);
}

TEST_CASE("a run folder's name may end in slashes and need not be UTF-8") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string();
  write_file(config, tiny_config(R"({"epochs": 1})"));
  for (const std::string name : {"slash", "b\xff\xfe"}) {
    const std::string run = (folder.path / name).string();
    const CommandResult result = run_azimuth({"train", config, "--run", run + "/./", "--json"});
    CHECK(result.exit == 0);
    CHECK(result.out.find("{\"kind\":\"result\",\"run\":\"") == 0);
    CHECK(fs::exists(run + "/checkpoints/last/model.safetensors"));
    CHECK(run_azimuth({"eval", run + "/"}).exit == 0);
  }
}

TEST_CASE("a training that diverges stops, says where, and keeps what was saved") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 3, "log_every": 1})"));
  CommandResult result =
      run_azimuth({"train", config, "--run", run, "--set", "optimizer.type=sgd", "--set", "optimizer.lr=1e38"});
  CHECK(result.exit == 4);
  CHECK(result.err.find("azimuth: training diverged at step 2 (epoch 1, learning rate 9.82963e+37): the loss is ") !=
        std::string::npos);
  CHECK(result.err.find("; the first number that is not finite is ") != std::string::npos);
  CHECK(result.err.find("; lower optimizer.lr, warm up for longer or set train.clip_norm\n") != std::string::npos);
  const std::string log = read_file(run + "/metrics.jsonl");
  CHECK(log.find("\"loss\":null") != std::string::npos);
  CHECK(fs::exists(run + "/checkpoints/last/model.safetensors"));
}

TEST_CASE("a run that diverges as it goes on is not told to change what resume refuses, but to train anew") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 3})"));
  const std::string schedule = R"(schedule={"type": "multistep", "milestones": [1], "gamma": 1e38})";
  REQUIRE(run_azimuth({"train", config, "--run", run, "--set", schedule, "--set", "train.max_steps=4"}).exit == 0);
  const CommandResult result = run_azimuth({"resume", run, "--set", "train.max_steps=null"});
  CHECK(result.exit == 4);
  CHECK(result.err.find("; lower optimizer.lr, warm up for longer or set train.clip_norm; the checkpoint at ") !=
        std::string::npos);
  CHECK(
      result.err.ends_with("; a run takes no other change than those that azimuth describe config says are for resume: "
                           "otherwise train anew with azimuth train\n"));
  CHECK(run_azimuth({"resume", run, "--set", "optimizer.lr=1e-9"}).exit == 2);
}
