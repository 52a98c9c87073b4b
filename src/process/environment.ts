import { existsSync } from 'node:fs';
import { delimiter, join, sep } from 'node:path';

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

/**
 * The environment in a worktree: paths of PATH that lie in the checkout lead into the worktree, and a Python environment
 * that lies there is active, as it is for who works in the checkout.
 */
export function inTree(env: Readonly<Record<string, string>>, checkout: string, dir: string): Record<string, string> {
  const moved = (path: string): string =>
    path === checkout || path.startsWith(checkout + sep) ? dir + path.slice(checkout.length) : path;
  const path = (env.PATH ?? '').split(delimiter).map(moved);
  const python = ['.venv', 'venv'].map((name) => join(dir, name)).find((one) => existsSync(join(one, 'pyvenv.cfg')));
  if (python === undefined) return { ...env, PATH: path.join(delimiter) };
  return { ...env, VIRTUAL_ENV: python, PATH: [join(python, 'bin'), ...path].join(delimiter) };
}
