const KEEP =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|TERM|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)|(HTTPS?|NO|ALL)_PROXY|(https?|no|all)_proxy|JAVA_HOME|GOPATH|GOROOT|CARGO_HOME|RUSTUP_HOME|PYENV_ROOT|VOLTA_HOME|NVM_DIR|ANDROID_HOME)$/;

/** The environment that Kimi and the verification see: an allowlist, without anybody's credentials. */
export function allowed(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined && KEEP.test(name)) kept[name] = value;
  return { ...kept, CI: 'true', NO_COLOR: '1', TERM: 'dumb', GIT_TERMINAL_PROMPT: '0' };
}
