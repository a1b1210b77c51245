// A run that was cut anywhere goes on to the bits of the run that was not.
#include <filesystem>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

namespace fs = std::filesystem;

class Resume : public TinyRun {
 protected:
  void expect_code(const Outcome& outcome, int code, const std::string& said) const {
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, said), 1) << said << "\n" << outcome.err;
  }
  // As though the run had been killed after its first checkpoint was complete.
  void forget_after(const std::string& name, int step) const {
    for (const auto& entry : fs::directory_iterator(path(name) + "/checkpoints")) {
      if (entry.path() > fs::path(checkpoint(name, step))) fs::remove(entry.path());
    }
  }
};

TEST_F(Resume, OneRank) {
  const Outcome whole = run(alone(train("whole", {})));
  ASSERT_EQ(whole.code, 0);
  // The held-out loss stands on the line of its own step.
  EXPECT_EQ(occurrences(whole.err, "\nstep "), 12) << whole.err;
  EXPECT_EQ(occurrences(whole.err, "  val "), 2) << whole.err;
  ASSERT_EQ(run(alone(train("cut", {}))).code, 0);
  expect_equal("whole", "cut", 12);
  forget_after("cut", 4);
  expect_code(run(alone(train("cut", {}))), 0, "step-00000004.h5");
  expect_equal("whole", "cut", 12);
  expect_equal_rows("whole", "cut", 12);
  const std::string before = read_text(path("cut") + "/metrics.jsonl");
  expect_code(run(alone(train("cut", {"train.steps=5"}))), 0, "has already run its 12 steps");
  expect_code(run(alone(train("cut", {"train.steps=5"}))), 0, "train.steps=24");
  EXPECT_EQ(read_text(path("cut") + "/metrics.jsonl"), before);
}

TEST_F(Resume, TwoRanksWithExpertsApart) {
  const auto job = [&](const std::string& name) {
    return run(under_mpirun(2, train(name, {"parallel.ep=2"})));
  };
  ASSERT_EQ(job("whole").code, 0);
  ASSERT_EQ(job("cut").code, 0);
  forget_after("cut", 8);
  expect_code(job("cut"), 0, "step-00000008.h5");
  expect_equal("whole", "cut", 12);
  expect_equal_rows("whole", "cut", 12);
  expect_code(job("cut"), 0, "has already run its 12 steps");
}

TEST_F(Resume, OnOtherLayoutsWithOtherSteps) {
  ASSERT_EQ(run(under_mpirun(2, train("run", {"parallel.ep=2", "train.steps=4"}))).code, 0);
  const Outcome alone_now =
      run(alone(train("run", {"train.steps=8", "eval.every=2", "checkpoint.every=3",
                              "logging.tensorboard=false"})));
  EXPECT_EQ(alone_now.code, 0) << alone_now.err;
  EXPECT_NE(alone_now.err.find("learning rate"), std::string::npos) << alone_now.err;
  const Outcome four = run(under_mpirun(4, train("run", {"train.steps=10", "parallel.ep=4"})));
  EXPECT_EQ(four.code, 0) << four.err;
  EXPECT_TRUE(fs::exists(checkpoint("run", 10)));
  const auto all = rows("run");
  ASSERT_EQ(all.size(), 10U);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i]["step"], i + 1);
}

TEST_F(Resume, AChangedKeyIsRefusedUnlessForced) {
  ASSERT_EQ(run(alone(train("run", {"train.steps=4"}))).code, 0);
  const Outcome refused =
      run(alone(train("run", {"train.steps=6", "optimizer.lr=0.01", "data.val_fraction=0.3"})));
  expect_code(refused, 2, "optimizer.lr");
  expect_code(refused, 2, "data.val_fraction");
  EXPECT_NE(refused.err.find("0.003"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("0.01"), std::string::npos) << refused.err;
  EXPECT_FALSE(fs::exists(checkpoint("run", 6)));
  expect_code(run(under_mpirun(2, train("run", {"train.steps=6", "optimizer.lr=0.01"}))), 2,
              "optimizer.lr");
  const Outcome forced =
      run(alone(train("run", {"train.steps=6", "optimizer.lr=0.01", "--force"})));
  EXPECT_EQ(forced.code, 0) << forced.err;
  EXPECT_TRUE(fs::exists(checkpoint("run", 6)));
}

TEST_F(Resume, NeverMovesARunAsideAndLeavesOthersAlone) {
  const auto fresh = [&](const std::string& name) {
    return run(alone(train(name, {"train.steps=2", "checkpoint.resume=never"})));
  };
  ASSERT_EQ(fresh("run").code, 0);
  write_text(path("run") + "/mine", "a note");
  ASSERT_EQ(fresh("run").code, 0);
  ASSERT_EQ(fresh("run/").code, 0);
  EXPECT_EQ(read_text(path("run.old-1") + "/mine"), "a note");
  EXPECT_TRUE(fs::exists(checkpoint("run.old-2", 2)));
  EXPECT_TRUE(fs::exists(checkpoint("run", 2)));
  EXPECT_FALSE(fs::exists(path("run") + "/mine"));

  fs::create_directory(path("photos"));
  write_text(path("photos") + "/one.jpg", "pixels");
  expect_code(fresh("photos"), 2, "left alone");
  EXPECT_EQ(read_text(path("photos") + "/one.jpg"), "pixels");
  EXPECT_EQ(std::distance(fs::directory_iterator(path("photos")), {}), 1);
  EXPECT_FALSE(fs::exists(path("photos.old-1")));

  // Of a link what it leads to: the new run is on the disk of the old one.
  fs::create_directory(path("disk"));
  fs::create_directory_symlink(path("disk/run"), path("link"));
  const Outcome dangling = fresh("link");
  expect_code(dangling, 5, path("disk/run"));
  fs::create_directory(path("disk/run"));
  ASSERT_EQ(fresh("link").code, 0);
  ASSERT_EQ(fresh("link").code, 0);
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_TRUE(fs::exists(checkpoint("disk/run", 2)));
  EXPECT_TRUE(fs::exists(checkpoint("disk/run.old-1", 2)));
  EXPECT_FALSE(fs::exists(path("link.old-1")));

  // Killed before it wrote anything: nothing is there to be kept.
  fs::create_directory(path("early"));
  write_text(path("early") + "/.lock", "pid 999999\nhost gone\nboot gone\n");
  EXPECT_EQ(fresh("early").code, 0);
  EXPECT_FALSE(fs::exists(path("early.old-1")));
}

// As h5py's mode r+ does.
TEST_F(Resume, ACheckpointThatIsOpenElsewhereIsNotPassedOver) {
  ASSERT_EQ(run(alone(train("run", {"train.steps=8"}))).code, 0);
  const std::string file = checkpoint("run", 8);
  const std::string good = read_text(file);
  const size_t superblock = good.find("\x89HDF");
  ASSERT_NE(superblock, std::string::npos);
  std::string marked = good;
  marked[superblock + 20] = 1;
  write_text(file, marked);
  const auto before = fs::last_write_time(file);
  for (const int ranks : {1, 2}) {
    const auto words = train("run", {"train.steps=12"});
    expect_code(run(ranks == 1 ? alone(words) : under_mpirun(ranks, words)), 4,
                "open in another program");
  }
  expect_code(run(alone({"eval", path("run")})), 4, "open in another program");
  EXPECT_EQ(read_text(file), marked);
  EXPECT_EQ(fs::last_write_time(file), before);
  EXPECT_FALSE(fs::exists(checkpoint("run", 12)));
  const Outcome verified = run(alone({"ckpt", "verify", path("run")}));
  EXPECT_EQ(verified.code, 4);
  EXPECT_NE(verified.out.find("in use"), std::string::npos) << verified.out;
  EXPECT_EQ(verified.out.find("damaged"), std::string::npos) << verified.out;
  // Closed again: as it was.
  write_text(file, good);
  EXPECT_EQ(run(alone(train("run", {"train.steps=12"}))).code, 0);
  EXPECT_EQ(rows("run").size(), 12U);
}

TEST_F(Resume, FromAGivenCheckpoint) {
  ASSERT_EQ(run(alone(train("whole", {}))).code, 0);
  const Outcome from = run(alone(train("other", {"checkpoint.resume=" + checkpoint("whole", 8)})));
  EXPECT_EQ(from.code, 0) << from.err;
  expect_equal("whole", "other", 12);
}

// It has no step of its own, and does not claim any.
TEST_F(Resume, FromAGivenCheckpointThatIsAtTheEndAlready) {
  ASSERT_EQ(run(alone(train("whole", {"train.steps=8"}))).code, 0);
  for (const char* steps : {"8", "5"}) {
    const Outcome outcome = run(alone(train("other", {"checkpoint.resume=" + checkpoint("whole", 8),
                                                      std::string("train.steps=") + steps})));
    expect_code(outcome, 0, "gives " + checkpoint("whole", 8) + ", which is at step 8, and ");
    expect_code(outcome, 0,
                std::string(", is ") + steps + ". No step was made in " + path("other"));
    EXPECT_EQ(occurrences(outcome.err, "has already run"), 0) << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, "train.steps=16"), 1) << outcome.err;
  }
  // One of the run itself is its own end, however it is given.
  expect_code(
      run(alone(train("whole", {"checkpoint.resume=" + checkpoint("whole", 8), "train.steps=8"}))),
      0, "has already run its 8 steps");
}

// What a scheduler does: the same command again after each stop.
TEST_F(Resume, FromAGivenCheckpointTheSameCommandGoesOn) {
  ASSERT_EQ(run(alone(train("whole", {}))).code, 0);
  const auto start = [&](const std::string& from, const std::string& steps) {
    return run(alone(train("other", {"checkpoint.resume=" + from, "train.steps=" + steps})));
  };
  const std::string base = checkpoint("whole", 4);
  const Outcome first = start(base, "8");
  expect_code(first, 0, "after step 4 from " + base);
  const Outcome second = start(base, "12");
  expect_code(second, 0, "after step 8 from " + checkpoint("other", 8));
  EXPECT_EQ(occurrences(second.err, "superseded"), 0) << second.err;
  EXPECT_EQ(rows("other").size(), 8U);
  expect_code(start(base, "12"), 0, "has already run its 12 steps");
  // Gone on by itself in between, moved, or given as a copy: it still descends from it.
  expect_code(run(alone(train("other", {"train.steps=14"}))), 0,
              "after step 12 from " + checkpoint("other", 12));
  fs::copy(base, path("copy.h5"));
  expect_code(start(path("copy.h5"), "16"), 0, "after step 14 from " + checkpoint("other", 14));
  // Another checkpoint at the same path is none of its ancestors.
  fs::copy_file(checkpoint("whole", 8), path("copy.h5"), fs::copy_options::overwrite_existing);
  const Outcome back = start(path("copy.h5"), "12");
  expect_code(back, 0, "after step 8 from " + path("copy.h5"));
  EXPECT_TRUE(fs::exists(checkpoint("other", 16) + ".superseded"));
  // Both now are: of the one that is gone only the path is known.
  expect_code(start(path("copy.h5"), "14"), 0, "after step 12 from " + checkpoint("other", 12));
  fs::remove(path("copy.h5"));
  const Outcome gone = start(path("copy.h5"), "16");
  expect_code(gone, 0, "after step 14 from " + checkpoint("other", 14));
  expect_code(gone, 0, "any more");
  EXPECT_EQ(start(path("never-there.h5"), "18").code, 4);
}

TEST_F(Resume, FromAGivenRunTheSameCommandGoesOnUnderMpirun) {
  ASSERT_EQ(run(alone(train("whole", {"train.steps=8"}))).code, 0);
  const auto start = [&](const std::string& steps) {
    return run(under_mpirun(
        2, train("other", {"checkpoint.resume=" + path("whole"), "train.steps=" + steps})));
  };
  expect_code(start("12"), 0, "after step 8 from " + checkpoint("whole", 8));
  // The run that it came from has gone on meanwhile.
  ASSERT_EQ(run(alone(train("whole", {"train.steps=12"}))).code, 0);
  expect_code(start("16"), 0, "after step 12 from " + checkpoint("other", 12));
  EXPECT_NE(read_text(checkpoint("other", 16)).find("\n# Descends from "), std::string::npos);
  // So far that what it came from is no longer kept.
  ASSERT_EQ(run(alone(train("whole", {"train.steps=20", "checkpoint.keep=1"}))).code, 0);
  ASSERT_FALSE(fs::exists(checkpoint("whole", 8)));
  expect_code(start("18"), 0, "after step 16 from " + checkpoint("other", 16));
}

// Going back inside a run: what was there before does not descend from it, what came after does.
TEST_F(Resume, GoingBackOnceTheSameCommandGoesOn) {
  ASSERT_EQ(run(alone(train("run", {"train.steps=8"}))).code, 0);
  const std::string from = "checkpoint.resume=" + checkpoint("run", 4);
  const Outcome back = run(alone(train("run", {from, "train.steps=8"})));
  expect_code(back, 0, "after step 4 from " + checkpoint("run", 4));
  EXPECT_EQ(occurrences(back.err, ".superseded"), 1) << back.err;
  const Outcome again = run(alone(train("run", {from, "train.steps=12"})));
  expect_code(again, 0, "after step 8 from " + checkpoint("run", 8));
  EXPECT_EQ(occurrences(again.err, ".superseded"), 0) << again.err;
}

TEST_F(Resume, WithoutACheckpointTheSameDirectoryBeginsAnew) {
  ASSERT_EQ(run(alone(train("whole", {}))).code, 0);
  ASSERT_EQ(run(alone(train("cut", {}))).code, 0);
  fs::remove_all(path("cut") + "/checkpoints");
  EXPECT_EQ(run(alone(train("cut", {}))).code, 0);
  expect_equal("whole", "cut", 12);
  expect_equal_rows("whole", "cut", 12);
  EXPECT_FALSE(fs::exists(path("cut.old-1")));
}

// Only the evaluation is left: no step tells a loss or a speed.
TEST_F(Resume, OfARunThatLacksItsLastEvaluationMakesThatUp) {
  ASSERT_EQ(run(alone(train("run", {"eval.every=0"}))).code, 0);
  const Outcome outcome = run(alone(train("run", {"eval.every=4"})));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(occurrences(outcome.err, "val_loss"), 2) << outcome.err;  // the line and the end table
  EXPECT_EQ(occurrences(outcome.err, "tokens_per_s"), 0) << outcome.err;
  EXPECT_TRUE(rows("run").back().contains("val_loss"));
}

TEST_F(Resume, GoingBackSetsNewerCheckpointsAside) {
  ASSERT_EQ(run(alone(train("whole", {}))).code, 0);
  ASSERT_EQ(run(alone(train("back", {}))).code, 0);
  const std::string from = "checkpoint.resume=" + checkpoint("back", 4);
  const Outcome outcome = run(alone(train("back", {from, "runtime.threads=2"})));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(occurrences(outcome.err, ".superseded"), 2) << outcome.err;
  EXPECT_TRUE(fs::exists(checkpoint("back", 8) + ".superseded"));
  expect_equal("whole", "back", 12);
  expect_equal_rows("whole", "back", 12);
}

TEST_F(Resume, ADamagedCheckpointIsNamedAndTheOneBeforeTaken) {
  ASSERT_EQ(run(alone(train("whole", {}))).code, 0);
  ASSERT_EQ(run(alone(train("cut", {}))).code, 0);
  fs::remove(checkpoint("cut", 12));
  fs::resize_file(checkpoint("cut", 8), fs::file_size(checkpoint("cut", 8)) / 2);
  const Outcome outcome = run(alone(train("cut", {})));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("step-00000008.h5"), std::string::npos) << outcome.err;
  expect_equal("whole", "cut", 12);
  expect_equal_rows("whole", "cut", 12);
}

}  // namespace
}  // namespace troupe::program
