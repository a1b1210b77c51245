// Safetensors files: what is written is read, and what is wrong is refused by name.
#include "core/formats/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "core/base/error.h"
#include "core/formats/safetensors_folder.h"
#include "tests/core/io/temporary_directory.h"

namespace troupe {
namespace {

// The bytes of a file with this header and so many bytes behind it.
std::string file_bytes(const std::string& header, size_t data) {
  const uint64_t length = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + header + std::string(data, 'x');
}

class Safetensors : public testing::Test {
 protected:
  std::string put(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }
  std::string refusal(const std::string& bytes) {
    const std::string path = put("x.safetensors", bytes);
    try {
      SafetensorsFile file(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::checkpoint);
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
      return error.what();
    }
    return "";
  }
  test::TemporaryDirectory folder_;
};

TEST_F(Safetensors, WhatIsWrittenIsRead) {
  const std::string path = folder_ / "a.safetensors";
  SafetensorsWriter writer(path,
                           {{"two", StoredType::i64, {2}, 0, 0},
                            {"a", StoredType::f32, {2, 3}, 0, 0},
                            {"none", StoredType::f16, {0, 5}, 0, 0},
                            {"scalar", StoredType::bf16, {}, 0, 0}},
                           {{"format", "pt"}});
  const std::vector<int64_t> two = {5, -6};
  const std::vector<float> a = {1, 2, 3, 4, 5, 6};
  const uint16_t scalar = 0x3f80;
  writer.write(1, 0, reinterpret_cast<const std::byte*>(a.data()), 24);
  writer.write(0, 8, reinterpret_cast<const std::byte*>(two.data() + 1), 8);
  writer.write(0, 0, reinterpret_cast<const std::byte*>(two.data()), 8);
  writer.write(3, 0, reinterpret_cast<const std::byte*>(&scalar), 2);
  EXPECT_FALSE(std::filesystem::exists(path)) << "not before it is whole";
  writer.commit();

  const SafetensorsFile file(path);
  ASSERT_EQ(file.tensors().size(), 4);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.tensors()[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file.tensors()[1].bytes, 0);
  EXPECT_EQ(file.tensors()[2].type, StoredType::bf16);
  std::vector<float> part(2);
  file.read(file.tensors()[0], 12, 8, reinterpret_cast<std::byte*>(part.data()));
  EXPECT_EQ(part, (std::vector<float>{4, 5}));
  int64_t second = 0;
  file.read(file.tensors()[3], 8, 8, reinterpret_cast<std::byte*>(&second));
  EXPECT_EQ(second, -6);
}

TEST_F(Safetensors, RefusesWhatIsNoSuchFile) {
  EXPECT_NE(refusal("").find("has 0 bytes"), std::string::npos);
  EXPECT_NE(refusal("PK\3\4\1\1\1\1zip").find("announce a header"), std::string::npos);
  EXPECT_NE(refusal(file_bytes("[]", 0)).find("not a JSON object"), std::string::npos);
  EXPECT_NE(refusal(file_bytes(R"({"a":)", 0)).find("not valid JSON"), std::string::npos);
  EXPECT_NE(refusal(file_bytes("{} {}", 0)).find("not valid JSON"), std::string::npos);
  EXPECT_THROW(SafetensorsFile(folder_ / "absent.safetensors"), Error);
  EXPECT_THROW(SafetensorsFile(folder_.path()), Error) << "a folder";
  EXPECT_EQ(refusal(file_bytes("{}", 0)), "");
}

TEST_F(Safetensors, RefusesTensorsThatDoNotFit) {
  const auto one = [&](const std::string& body, size_t data) {
    return refusal(file_bytes(R"({"w":)" + body + "}", data));
  };
  EXPECT_EQ(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 8), "");
  EXPECT_NE(one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})", 8).find("w of type F32"),
            std::string::npos);
  EXPECT_NE(one(R"({"dtype":"Q4","shape":[2],"data_offsets":[0,8]})", 8).find("unknown type Q4"),
            std::string::npos);
  EXPECT_NE(one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})", 8).find("bytes 8 to 0"),
            std::string::npos);
  EXPECT_NE(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,80]})", 8).find("of 8"),
            std::string::npos);
  EXPECT_NE(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 9).find("end at byte"),
            std::string::npos);
  EXPECT_NE(one(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})", 12).find("belong to none"),
            std::string::npos);
  EXPECT_NE(one(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})", 8).find("-2"),
            std::string::npos);
  EXPECT_NE(one(R"({"dtype":"F32","shape":[2.5],"data_offsets":[0,8]})", 8).find("2.5"),
            std::string::npos);
  EXPECT_NE(one(R"({"dtype":"F32","shape":[[2]],"data_offsets":[0,8]})", 8).find("a list"),
            std::string::npos);
  EXPECT_NE(one(R"({"dtype":"F32","shape":[2]})", 0).find("lacks"), std::string::npos);
  EXPECT_NE(one(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})", 0)
                .find("4294967296"),
            std::string::npos)
      << "a product beyond 64 bits";
  EXPECT_NE(one(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})", 8), "");
  EXPECT_NE(one("7", 0).find("7"), std::string::npos);
}

TEST_F(Safetensors, RefusesOverlapsDoublesAndControlCharacters) {
  const std::string w = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  const std::string v = R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})";
  const std::string after = R"({"dtype":"F32","shape":[2],"data_offsets":[8,16]})";
  EXPECT_NE(refusal(file_bytes(R"({"w":)" + w + R"(,"v":)" + v + "}", 12)).find("overlap"),
            std::string::npos);
  EXPECT_NE(refusal(file_bytes(R"({"w":)" + w + R"(,"w":)" + after + "}", 16)).find("twice"),
            std::string::npos);
  EXPECT_NE(refusal(file_bytes(R"({"w\u001b[31m":)" + w + "}", 8)).find("control character"),
            std::string::npos);
}

TEST_F(Safetensors, SeveralFilesNeedAnIndexThatFits) {
  const auto tensor = [&](const std::string& file, const std::string& name) {
    put(file,
        file_bytes(R"({")" + name + R"(":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8));
  };
  const auto message = [&](const std::string& index) {
    put(kWeightsIndex, index);
    try {
      return std::to_string(open_safetensors(folder_.path())->tensors().size());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::checkpoint);
      return std::string(error.what());
    }
  };
  tensor("one.safetensors", "a");
  tensor("two.safetensors", "b");
  EXPECT_EQ(message(R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})"), "2");
  EXPECT_NE(message(R"({"weight_map":{"a":"one.safetensors","b":"one.safetensors"}})")
                .find("one.safetensors lacks the tensor b"),
            std::string::npos);
  EXPECT_NE(message(R"({"weight_map":{"a":"one.safetensors","c":"two.safetensors"}})")
                .find("two.safetensors has the tensor b"),
            std::string::npos);
  EXPECT_NE(message(R"({"weight_map":{"a":"../one.safetensors"}})").find("no name of a file"),
            std::string::npos);
  EXPECT_NE(message(R"({"weight_map":{"a":"/etc/passwd"}})").find("no name of a file"),
            std::string::npos);
  EXPECT_NE(message(R"({"weight_map":{"a":"absent.safetensors"}})").find("absent.safetensors"),
            std::string::npos);
  EXPECT_NE(
      message(R"({"weight_map":{"a":"one.safetensors","a":"two.safetensors"}})").find("twice"),
      std::string::npos);
  EXPECT_NE(message(R"({})").find("weight_map"), std::string::npos);
  EXPECT_NE(message(std::string(100, '[')).find("nested deeper"), std::string::npos);
  tensor("two.safetensors", "a");
  EXPECT_NE(message(R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})").find("two"),
            std::string::npos);
  tensor(kWeightsFile, "a");
  EXPECT_NE(message(R"({"weight_map":{"a":"one.safetensors"}})").find("remove the one"),
            std::string::npos);
}

TEST_F(Safetensors, AFolderOfTheCacheIsFollowed) {
  std::filesystem::create_directories(folder_ / "model/refs");
  std::filesystem::create_directories(folder_ / "model/blobs");
  std::filesystem::create_directories(folder_ / "model/snapshots/0a1b");
  put("model/refs/main", "0a1b\n");
  put("model/blobs/ff", file_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8));
  std::filesystem::create_symlink("../../blobs/ff",
                                  folder_ / "model/snapshots/0a1b/model.safetensors");
  EXPECT_EQ(open_safetensors(folder_ / "model")->tensors().size(), 1);
  put("model/refs/main", "../..");
  EXPECT_THROW(open_safetensors(folder_ / "model"), Error);
}

TEST_F(Safetensors, AFolderWithoutThemSaysWhatItHolds) {
  put("pytorch_model.bin", "x");
  try {
    open_safetensors(folder_.path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("pytorch_model.bin"), std::string::npos);
  }
}

}  // namespace
}  // namespace troupe
