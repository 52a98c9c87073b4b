const KEEP =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|TERM|COLORTERM|NO_COLOR|FORCE_COLOR|CI|NODE_ENV|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)|(HTTPS?|NO|ALL)_PROXY|(https?|no|all)_proxy|JAVA_HOME|M2_HOME|MAVEN_HOME|GRADLE_USER_HOME|GOPATH|GOROOT|GOMODCACHE|CARGO_HOME|RUSTUP_HOME|PYENV_ROOT|RBENV_ROOT|GEM_(HOME|PATH)|COMPOSER_HOME|DOTNET_ROOT|VOLTA_HOME|NVM_DIR|FNM_DIR|ASDF_(DIR|DATA_DIR)|MISE_DATA_DIR|COREPACK_HOME|PNPM_HOME|BUN_INSTALL|DENO_DIR|ANDROID_(HOME|SDK_ROOT))$/;

/**
 * The environment that Kimi, package managers and the verification see: the user's own, by an allowlist without anybody's
 * credentials. `more` is the profile's `env`: `NAME` passes a variable of the user's, `NAME=value` sets one. Nothing else
 * is set: tools read the environment, and what we set would change their verdicts.
 */
export function allowed(
  env: Readonly<Record<string, string | undefined>>,
  more: readonly string[] = [],
): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined && KEEP.test(name)) kept[name] = value;
  for (const entry of more) {
    const [, name = '', value] = /^([^=]+)(?:=(.*))?$/s.exec(entry) ?? [];
    const taken = value ?? env[name];
    if (taken !== undefined) kept[name] = taken;
  }
  // There is nobody to answer a question for a password.
  return { ...kept, GIT_TERMINAL_PROMPT: '0' };
}
