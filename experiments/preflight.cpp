#include "experiments/preflight.h"

#include <algorithm>
#include <utility>

#include "core/autograd/autograd.h"
#include "core/base/random.h"
#include "core/config/json_document.h"
#include "core/ops/loss.h"
#include "core/tensor/create.h"
#include "experiments/precision.h"
#include "experiments/views.h"
#include "nn/hidden_state.h"

namespace az::experiments {
namespace {

// Says whether a part of a config is of a type of one's own, or has layers in it that are. The type of the part itself is
// looked up in `registry`.
bool has_own(const config::RegistryBase& registry, const config::Value& part) {
  const auto is_own = [](const config::Value& within) { return has_own(nn::LayerRegistry::base(), within); };
  if (part.is_array()) return std::any_of(part.as_array().begin(), part.as_array().end(), is_own);
  if (!part.is_object()) return false;
  const config::Value* type = part.find("type");
  if (type && !registry.at(type->as_string()).built_in) return true;
  return std::any_of(part.as_object().begin(), part.as_object().end(),
                     [&](const config::Member& member) { return is_own(member.value); });
}

// A copy of a config's network, tried on zeros that count as images of the last class. Random numbers stay as they were.
class Trial {
 public:
  Trial(const Blueprint& blueprint, TriedBatches* tried)
      : blueprint_(blueprint),
        tried_(tried ? *tried : own_),
        own_layers_(has_own(nn::ModelRegistry::base(), blueprint.config.model.to_value())),
        model_(untouched_copy()),
        type_(available_precision(precision_of(blueprint.config.train.precision))) {
    const ExperimentConfig& config = blueprint.config;
    const config::Value model = config.model.to_value();
    words_ = config::dump(config::Value::Array{config.data.to_value(), model, name_of(type_), config.train.label_smoothing});
    for (const nn::Module* module : model_->modules()) words_ += "\n" + module->config_place();
  }
  ~Trial() { set_random_state(random_before_); }
  Trial(const Trial&) = delete;

  // Looks at an image as test-time augmentation does, and gives how many numbers the network makes of it.
  int64_t classes() {
    for (const View& view : views_of(blueprint_.config.train.evaluation.test_time_augmentation)) seen(images(1), view);
    if (const auto found = tried_.classes.find(words_); found != tried_.classes.end()) return found->second;
    return tried_.classes[words_] = blueprint_.config.model.placed([&] {
      const Shape logits = nn::output_shape(*model_, images(1).shape(), type_);
      check_logits(logits);
      return logits[1];
    });
  }

  // What is wrong with a batch of so many images, if anything. Two stand for more where all layers are built in, as what these
  // have in common is the shape of the rest, and where there is too little memory. Where two fail, the number itself decides.
  const TriedBatches::Failure& failure(int64_t count, Purpose purpose) {
    if (count <= 2) return tried(count, purpose);
    const TriedBatches::Failure& of_two = failure(2, purpose);
    if (!of_two.why.empty()) return tried(count, purpose);
    if (!own_layers_) return of_two;
    try {
      return tried(count, purpose);
    } catch (const MemoryError&) {
    } catch (const std::bad_alloc&) {}
    return of_two;
  }
  bool fails(int64_t count, Purpose purpose) { return !failure(count, purpose).why.empty(); }

  // Returns what nn::hidden_state() finds with a batch of two images, or of `count` where the network cannot run on two. Layers
  // that are built in have no hidden state.
  std::string hidden_state(int64_t count) {
    if (!own_layers_) return "";
    const auto [found, fresh] = tried_.hidden_states.try_emplace(words_);
    if (!fresh) return found->second;
    const bool takes_two = !fails(2, Purpose::training) && !fails(2, Purpose::evaluation);
    model_.reset();
    model_ = untouched_copy();
    try {
      found->second = nn::hidden_state(*blueprint_.model, *model_, images(takes_two ? 2 : count));
    } catch (const MemoryError&) {
      throw;
    } catch (const Error&) {  // of random images, which the network need not take: nothing is found
    }
    return found->second;
  }

 private:
  // A clone may share with its original what a layer of one's own keeps unregistered: the original is another network then.
  nn::ModulePtr untouched_copy() {
    if (!own_layers_) return blueprint_.model->clone();
    original_ = build_model(blueprint_.config);
    original_->load_state(blueprint_.model->state());
    return original_->clone();
  }

  const TriedBatches::Failure& tried(int64_t count, Purpose purpose) {
    auto& all = tried_.failures[size_t(purpose)];
    const std::pair key{words_, count};
    if (const auto found = all.find(key); found != all.end()) return found->second;
    return all[key] = try_batch(count, purpose);
  }

  TriedBatches::Failure try_batch(int64_t count, Purpose purpose) {
    try {
      model_->train(purpose == Purpose::training);
      const double smoothing = purpose == Purpose::training ? blueprint_.config.train.label_smoothing : 0;
      const Tensor labels = full({count}, double(blueprint_.source.class_count - 1), DType::i64);
      cross_entropy((*model_)(images(count)), labels, {.label_smoothing = smoothing});
      return {};
    } catch (const MemoryError&) {
      throw;
    } catch (const Error& error) {
      const std::string what = error.what(), why = error.unlocated();
      return {.place = error.located() ? what.substr(0, what.size() - why.size() - 2) : "", .why = why};
    }
  }

  Tensor images(int64_t count) const {
    const Shape& image = blueprint_.source.image_shape;
    return zeros({count, image[0], image[1], image[2]}, type_);
  }

  void check_logits(const Shape& logits) const {
    const int64_t classes = blueprint_.source.class_count;
    if (logits.rank() == 2 && logits[0] == 1 && logits[1] >= classes) return;
    const config::Value options = blueprint_.config.model.to_value();
    const config::Value* given = options.find("num_classes");
    if (given && logits.rank() == 2 && *given == config::Value(logits[1]))
      config::invalid_option(
          "num_classes", fmt::format("{} is fewer than the data's {} classes; null stands for as many", logits[1], classes));
    fail("the network makes {} of an image, the data's {} classes need [1,{}]", logits.str(), classes, classes);
  }

  const Blueprint& blueprint_;
  TriedBatches own_, &tried_;
  std::string words_;  // of all that decides what the network makes of a batch, and how that is told
  bool own_layers_;
  nn::BatchSize batch_size_ = as_in_batches_of(blueprint_.source);
  RandomState random_before_ = random_state();
  NoGrad no_grad_;
  nn::ModulePtr original_, model_;
  DType type_;
};

std::string images_text(int64_t count) { return count == 1 ? "1 image" : fmt::format("{} images", count); }

// Refuses a network for how it fails in `batch`, at the place of the layer that does.
void refuse(const ExperimentConfig& config, const std::string& batch, const TriedBatches::Failure& failure) {
  config.model.placed([&] {
    Error error(fmt::format("in {}: {}", batch, failure.why));
    error.locate(failure.place);
    throw error;
  });
}

// Refuses batches that the network cannot be trained on.
void try_training(Trial& trial, const ExperimentConfig& config, const data::DataPlan& plan, Purpose purpose) {
  const int64_t first = std::min(plan.train, plan.batch_size), last = plan.drop_last ? 0 : plan.train % plan.batch_size;
  if (const TriedBatches::Failure& failure = trial.failure(first, Purpose::training); !failure.why.empty()) {
    const bool too_few = first == 1 && !trial.fails(2, Purpose::training);
    if (!too_few) return refuse(config, fmt::format("training, on a batch of {}", images_text(first)), failure);
    config.data.placed([&] {
      if (plan.batch_size == 1)
        config::invalid_option("batch_size",
                               fmt::format("the network cannot be trained on 1 image at a time: {}; raise it", failure.why));
      fail("the network cannot be trained on its only image: {}; train on more", failure.why);
    });
  }
  const int64_t steps = config.train.steps_of(plan.batches());
  if (last == 0 || last == first || config.train.length(steps).steps < steps) return;
  if (const std::string why = trial.failure(last, Purpose::training).why; !why.empty()) {
    const bool too_few = last <= 2 || trial.fails(2, Purpose::training);
    const std::string remedy =
        purpose == Purpose::training
            ? fmt::format("set it to true, or choose a batch_size that leaves {}", too_few ? "more" : "another number")
        : steps == 1 ? "no step can be taken"
                     : fmt::format("end before it, by train.max_steps={}", steps - 1);
    config.data.placed([&] {
      config::invalid_option("drop_last",
                             fmt::format("the last batch of an epoch has {} of {}, and the network cannot be trained "
                                         "on that: {}; {}",
                                         last, images_text(plan.train), why, remedy));
    });
  }
}

// Refuses a part of the data that the network cannot be evaluated on.
void try_evaluation(Trial& trial, const ExperimentConfig& config, const data::DataPlan& plan) {
  for (const auto& [name, count] : {std::pair{"validation", plan.validation}, {"test", plan.test.value_or(0)}}) {
    for (const int64_t images : {std::min(count, plan.batch_size), count % plan.batch_size}) {
      if (images == 0 || !trial.fails(images, Purpose::evaluation)) continue;
      refuse(config, fmt::format("evaluation, on {} of the {} part", images_text(images), name),
             trial.failure(images, Purpose::evaluation));
    }
  }
}

class Notes {
 public:
  // What is odd about a section of the config, as "option: sentence".
  void add(const std::string& section, const std::vector<std::string>& oddities) {
    for (const std::string& oddity : oddities) all.push_back(section + "." + oddity);
  }
  template <class... Args> void add_if(bool odd, fmt::format_string<Args...> format, Args&&... args) {
    if (odd) all.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  std::vector<std::string> all;
};

void note_data(Notes& notes, const Blueprint& blueprint) {
  const data::DataPlan& plan = *blueprint.source.plan;
  const int64_t classes = blueprint.source.class_count;
  notes.add("data", plan.notes);
  notes.add_if(plan.validation > 0 && plan.validation < classes,
               "data.validation: holds out {}, fewer than the {} classes; a number below 1 is a share of the images",
               images_text(plan.validation), classes);
  for (const auto& [name, count] : {std::pair{"training", plan.train}, {"test", plan.test.value_or(classes)}})
    notes.add_if(count < classes, "data: the {} part has {}, fewer than the {} classes", name, images_text(count), classes);
  notes.add_if(plan.batch_size > plan.train,
               "data.batch_size: {} is more than there are training images: an epoch is one batch of {}", plan.batch_size,
               plan.train);
}

// Notes what is to happen at a number of steps or epochs that the training does not have.
void note_length(Notes& notes, const Blueprint& blueprint, Purpose purpose) {
  const ExperimentConfig& config = blueprint.config;
  const TrainOptions& train = config.train;
  const int64_t batches = blueprint.source.plan->batches();
  const optim::Length length = train.length(train.steps_of(batches));
  const int64_t epochs = (length.steps + length.steps_per_epoch - 1) / length.steps_per_epoch;
  notes.add_if(train.max_steps.value_or(0) > length.steps, "train.max_steps: {} is not reached, as {} epochs have {} steps",
               train.max_steps.value_or(0), epochs, length.steps);
  notes.add_if(train.accumulate > batches, "train.accumulate: {} is more than the {} batches of an epoch, which make one step",
               train.accumulate, batches);
  notes.add_if(train.log_every > length.steps && train.log_every != TrainOptions().log_every,
               "train.log_every: {} is more than the {} steps of the training, none of which is logged", train.log_every,
               length.steps);
  notes.add_if(train.evaluation.every_epochs > epochs,
               "train.evaluation.every_epochs: {} is more than the {} epochs of the training: only its end is evaluated",
               train.evaluation.every_epochs, epochs);
  notes.add_if(config.checkpoint.every_epochs > epochs,
               "checkpoint.every_epochs: {} is more than the {} epochs of the training: only its end is saved",
               config.checkpoint.every_epochs, epochs);
  try {
    notes.add("schedule", config.schedule.placed([&] {
      // If there are more than a million steps, only some of them are looked at.
      const int64_t stride = 1 + length.steps / 1'000'000;
      for (int64_t step = 0; step < length.steps; step += stride) blueprint.lr_factor(length.moment(step));
      return blueprint.schedule.examine(length);
    }));
  } catch (Error& error) {
    if (purpose == Purpose::resuming) error.add(", or put back the train.epochs and train.max_steps that the run began with");
    throw;
  }
  if (train.average) {
    notes.add("train.average", train.average->create(blueprint.model->state())->examine(length));
    const config::Value options = train.average->to_value();
    const config::Value* decay = options.find("decay");
    notes.add_if(decay && *decay == config::Value(0.0),
                 "train.average.decay: 0 keeps nothing of the average: it is the weights as they are each time");
  }
  for (size_t i = 0; i < blueprint.probes.size(); ++i)
    notes.add(fmt::format("probes.{}", i), blueprint.probes[i].probe->examine(length.steps));
}

// Notes the options of frozen groups that say how the group is to be updated: they mean nothing.
void note_frozen(Notes& notes, const config::Value& optimizer) {
  const config::Value* groups = optimizer.find("groups");
  if (!groups || !groups->is_array()) return;
  const auto is = [](const config::Value& group, bool frozen) {
    const config::Value* given = group.is_object() ? group.find("frozen") : nullptr;
    return given && *given == config::Value(frozen);
  };
  const config::Value::Array& all = groups->as_array();
  if (std::any_of(all.begin(), all.end(), [&](const config::Value& group) { return is(group, false); })) return;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!is(all[i], true)) continue;
    for (const char* option : {"weight_decay", "lr_factor", "trust_ratio", "renormalize_every"}) {
      const config::Value* given = all[i].find(option);
      notes.add_if(given && !given->is_null(), "optimizer.groups.{}.{}: means nothing, as the group is frozen", i, option);
    }
  }
}

// Notes factors that are very large, in the options of an optimizer of any type and of its groups.
void note_large(Notes& notes, const config::Value& optimizer) {
  const auto note = [&](const config::Value& options, const std::string& path) {
    for (const char* option : {"lr", "weight_decay", "lr_factor", "trust_ratio"}) {
      const config::Value* given = options.is_object() ? options.find(option) : nullptr;
      if (!given || !given->is_number()) continue;
      notes.add_if(given->as_double() > 1e5, "{}.{}: {} is so large that few networks would not diverge", path, option,
                   given->as_double());
    }
  };
  note(optimizer, "optimizer");
  const config::Value* groups = optimizer.find("groups");
  if (!groups || !groups->is_array()) return;
  for (size_t i = 0; i < groups->as_array().size(); ++i) {
    const config::Value& group = groups->as_array()[i];
    const std::string path = fmt::format("optimizer.groups.{}", i);
    note(group, path);
    if (const config::Value* other = group.is_object() ? group.find("optimizer") : nullptr) note(*other, path + ".optimizer");
  }
}

void note_numbers(Notes& notes, const Blueprint& blueprint) {
  constexpr double least = 1e-10;
  const TrainOptions& train = blueprint.config.train;
  const double lr = blueprint.optimizer->lr();
  notes.add("optimizer", blueprint.config.optimizer.placed([&] { return blueprint.optimizer->examine_all(); }));
  const config::Value optimizer = blueprint.config.optimizer.to_value();
  note_frozen(notes, optimizer);
  note_large(notes, optimizer);
  notes.add_if(lr < least, "optimizer.lr: {} is so small that weights hardly change: f32 has 7 digits", lr);
  for (const auto& [name, limit] : {std::pair{"clip_norm", train.clip_norm}, {"clip_value", train.clip_value}})
    notes.add_if(limit && *limit < least, "train.{}: {} is so small that weights hardly change: f32 has 7 digits", name,
                 limit.value_or(0));
}

}  // namespace

std::vector<std::string> preflight(const Blueprint& blueprint, Purpose purpose, TriedBatches* tried) {
  const ExperimentConfig& config = blueprint.config;
  const std::optional<data::DataPlan>& plan = blueprint.source.plan;
  const int64_t classes = blueprint.source.class_count;
  Notes notes;
  {
    Trial trial(blueprint, tried);
    const int64_t logits = trial.classes();
    notes.add_if(logits > classes, "model: the network makes {} numbers of an image, and the data has {} classes", logits,
                 classes);
    if (plan) try_evaluation(trial, config, *plan);
    if (purpose == Purpose::evaluation) return {};
    if (plan) try_training(trial, config, *plan, purpose);
    const std::string hidden = trial.hidden_state(plan ? std::min(plan->train, plan->batch_size) : 2);
    notes.add_if(!hidden.empty(),
                 "model: {} keeps something beside its parameters and buffers that training changes and its output depends "
                 "on: no checkpoint holds it, so that a resumed run would differ; keep it by add_buffer(), and draw random "
                 "numbers by next_generator()",
                 hidden);
  }
  notes.add_if(classes == 1, "data: there is 1 class, so that there is nothing to learn");
  note_numbers(notes, blueprint);
  if (plan) {
    note_data(notes, blueprint);
    note_length(notes, blueprint, purpose);
  } else {
    notes.add_if(true, "data: {} does not say how many images it has: what depends on that shows when it is read",
                 config.data.type());
  }
  return notes.all;
}

}  // namespace az::experiments
