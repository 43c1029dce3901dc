class Glm4Metal < Formula
  desc "Run GLM-4 models on Apple GPUs"
  homepage "https://github.com/glm4-metal/glm4-metal"
  # At a release: the tag, and the commit that it names (git rev-parse TAG^{commit}).
  url "https://github.com/glm4-metal/glm4-metal.git",
      tag:      "v0.0.0",
      revision: "0000000000000000000000000000000000000000"
  license "MIT"
  head "https://github.com/glm4-metal/glm4-metal.git", branch: "main"

  depends_on "go" => :build

  def install
    ENV["CGO_ENABLED"] = "0"
    system "go", "build", *std_go_args(ldflags: "-s -w"), "./cmd/glm4-metal"
    generate_completions_from_executable(bin/"glm4-metal", "completion")
    (man1/"glm4-metal.1").write Utils.safe_popen_read(bin/"glm4-metal", "completion", "man")
  end

  service do
    run [opt_bin/"glm4-metal", "serve", "--host=127.0.0.1", "--port=8080"]
    keep_alive successful_exit: false
    process_type :interactive
    log_path var/"log/glm4-metal.log"
    error_log_path var/"log/glm4-metal.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/glm4-metal version") unless head?
    assert_match "glm4-metal-demo",
                 shell_output("#{bin}/glm4-metal generate --backend cpu --max-tokens 4 --verbose hello 2>&1")
  end
end
