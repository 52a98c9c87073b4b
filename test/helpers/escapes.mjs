// Ways out of the sandbox, each tried from inside by a worker that means harm. A way that works returns normally.
import { execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';

const read = (path) => {
  const text = readFileSync(path, 'utf8');
  if (!text.includes('SECRET')) throw new Error('it is not there');
};
const write = (path) => appendFileSync(path, '# escaped\n');
const sh = (script) => execFileSync('/bin/sh', ['-c', script], { stdio: 'pipe', timeout: 10_000 });

const dial = (options) =>
  new Promise((done, fail) => {
    const socket = connect(options, () => {
      socket.destroy();
      done();
    });
    socket.setTimeout(2000, () => socket.destroy(new Error('no answer')));
    socket.on('error', fail);
  });

/** Asks the sandbox's own proxy for a way to a host that no policy names. */
const tunnel = (target) =>
  new Promise((done, fail) => {
    const proxy = new URL(process.env.HTTP_PROXY);
    const authorization = `Basic ${Buffer.from(`${proxy.username}:${proxy.password}`).toString('base64')}`;
    const call = request({
      host: 'localhost',
      port: proxy.port,
      method: 'CONNECT',
      path: target,
      headers: { 'proxy-authorization': authorization },
    });
    call.on('connect', (response, socket) => {
      socket.destroy();
      if (response.statusCode === 200) done();
      else fail(new Error(String(response.statusCode)));
    });
    call.on('error', fail);
    call.setTimeout(3000, () => call.destroy(new Error('no answer')));
    call.end();
  });

/** Files in a home that nothing inside may read, whoever's list they are on. */
export const SECRET_FILES = [
  ...['.ssh/id_rsa', '.ssh/id_ed25519', '.ssh/config', '.ssh/known_hosts', '.gnupg/private-keys-v1.d/key.key'],
  ...['.aws/credentials', '.aws/config', '.aws/sso/cache/token.json', '.azure/accessTokens.json', '.kube/config'],
  ...['.config/gcloud/credentials.db', '.docker/config.json', '.terraform.d/credentials.tfrc.json', '.vault-token'],
  ...['.netrc', '.npmrc', '.yarnrc.yml', '.pypirc', '.pgpass', '.my.cnf', '.envrc', '.env', '.git-credentials'],
  ...[
    '.config/git/credentials',
    '.cargo/credentials.toml',
    '.cargo/credentials',
    '.gem/credentials',
    '.m2/settings.xml',
  ],
  ...[
    '.gradle/gradle.properties',
    '.config/gh/hosts.yml',
    '.config/hub',
    '.config/glab-cli/config.yml',
    '.s3cfg',
    '.boto',
  ],
  ...[
    '.config/rclone/rclone.conf',
    '.config/doctl/config.yaml',
    '.fly/config.yml',
    '.config/op/config',
    '.databrickscfg',
  ],
  ...['.claude/settings.json', '.claude.json', '.codex/auth.json', '.gemini/oauth_creds.json', '.cursor/mcp.json'],
  ...['.config/github-copilot/hosts.json', '.bash_history', '.zsh_history', '.psql_history', '.python_history'],
  ...[
    '.node_repl_history',
    '.mozilla/firefox/p/logins.json',
    '.config/google-chrome/Default/Cookies',
    '.bashrc',
    '.profile',
  ],
  ...['.config/Code/User/settings.json', '.config/systemd/user/x.service', '.local/share/keyrings/login.keyring'],
  ...['.config/kimi-dispatch/config.toml', '.local/share/kimi-dispatch/mail.ndjson', '.cache/kimi-dispatch/x.json'],
  ...[
    '.config/fish/config.fish',
    '.config/pip/pip.conf',
    '.subversion/auth/svn',
    '.hgrc',
    '.vim/x',
    'Documents/tax.txt',
  ],
  ...[
    'Downloads/key.pem',
    'Desktop/notes.txt',
    'other-project/.env',
    'other-project/src/x.ts',
    'mail/inbox',
    '.kimi/config.json',
  ],
];

/** Waits for what the host does meanwhile: a closed place stays closed when a file appears in it or is replaced. */
const appears = (path) =>
  new Promise((done, fail) => {
    const until = Date.now() + 1500;
    const look = () => {
      try {
        read(path);
        done();
      } catch (error) {
        if (Date.now() > until) fail(error);
        else setTimeout(look, 50);
      }
    };
    look();
  });

const notEmpty = (path) => {
  if (readFileSync(path, 'utf8').trim() === '') throw new Error('empty');
};
const python = (script) => execFileSync('python3', ['-c', script], { stdio: 'pipe', timeout: 10_000 });
const sameNamespace = (kind, host) => {
  if (readlinkSync(`/proc/self/ns/${kind}`) !== host) throw new Error('another one');
};
/** Fails where the system call is refused, as `EPERM`. */
const systemCall = (x64, arm64, ...args) =>
  python(
    `import ctypes,platform,sys; n={'x86_64':${x64},'aarch64':${arm64}}[platform.machine()]; c=ctypes.CDLL(None,use_errno=True); r=c.syscall(n,${args.join(',')}); sys.exit(1 if r==-1 and ctypes.get_errno()==1 else 0)`,
  );

/** @param {{home: string, checkout: string, common: string, state: string, remote: string, port: number, socket: string, pid: number, run: string, slot: string}} at */
export const ways = (at) => ({
  'write a file of the checkout': () => write(join(at.checkout, 'greet.txt')),
  'plant a hook': () => writeFileSync(join(at.common, 'hooks', 'post-commit'), '#!/bin/sh\n'),
  'change the git config': () => write(join(at.common, 'config')),
  'git config in the repository': () => sh(`git -C '${at.checkout}' config core.fsmonitor /bin/false`),
  'git config --global': () => sh('git config --global core.fsmonitor /bin/false'),
  'move a branch': () => writeFileSync(join(at.common, 'refs', 'heads', 'main'), `${'0'.repeat(40)}\n`),
  'git update-ref': () => sh(`git -C '${at.checkout}' update-ref refs/heads/evil HEAD`),
  'move HEAD': () => writeFileSync(join(at.common, 'HEAD'), 'ref: refs/heads/evil\n'),
  'change the index of the checkout': () => write(join(at.common, 'index')),
  'write an object': () => writeFileSync(join(at.common, 'objects', 'evil'), ''),
  'git stash in the checkout': () =>
    sh(`cd '${at.checkout}' && unset GIT_INDEX_FILE GIT_OBJECT_DIRECTORY && git stash -u`),
  'point the worktree elsewhere': () => writeFileSync('.git', 'gitdir: /tmp\n'),
  'replace .git by a folder': () => {
    unlinkSync('.git');
    mkdirSync('.git');
  },
  "write git's folder of the worktree": () => writeFileSync(join(at.common, 'worktrees', at.slot, 'HEAD'), 'x'),
  'push to the remote': () => sh(`git push -q '${at.remote}' HEAD:refs/heads/evil`),
  'write into another worktree': () => writeFileSync(join(at.state, 'worktrees', 'other', 'x'), ''),
  "forge the run's own record": () => write(join(at.common, 'kimi-dispatch', 'runs', at.run, 'events.ndjson')),
  'change the spec that is verified': () => write(join(at.common, 'kimi-dispatch', 'runs', at.run, 'spec.md')),
  'poison the compile cache of Kimi': () => writeFileSync(join(at.home, '.cache', 'kimi-dispatch', 'x'), ''),
  "forge the hooks' state": () => writeFileSync(join(at.home, '.local', 'state', 'kimi-dispatch', 'claude-x'), ''),
  'a line for .bashrc': () => write(join(at.home, '.bashrc')),
  'a file in /tmp': () => writeFileSync(`/tmp/escaped-${at.run}`, ''),
  'a file in /etc': () => writeFileSync('/etc/escaped', ''),
  'a cron job': () => writeFileSync('/etc/cron.d/escaped', ''),
  'read a password of postgres': () => read(join(at.home, '.pgpass')),
  'read the settings of kimi-dispatch': () => read(join(at.home, '.config', 'kimi-dispatch', 'config.toml')),
  'read mail of others': () => read(join(at.home, '.local', 'share', 'kimi-dispatch', 'mailbox', 'x')),
  'read a note in the home folder': () => read(join(at.home, 'notes.txt')),
  'read another repository': () => read(join(at.home, 'work', 'other', 'secret.txt')),
  'read direnv': () => read(join(at.checkout, '.envrc')),
  'see message queues of others': () => {
    if (!sh('ipcs -q').toString().includes('0x')) throw new Error('none is seen');
  },
  'read a private key': () => read(join(at.home, '.ssh', 'id_rsa')),
  'read cloud credentials': () => read(join(at.home, '.aws', 'credentials')),
  'read .netrc': () => read(join(at.home, '.netrc')),
  'read .npmrc': () => read(join(at.home, '.npmrc')),
  'read the Claude home': () => read(join(at.home, '.claude', 'settings.json')),
  "read the user's Kimi config": () => read(join(at.home, '.kimi-code', 'config.toml')),
  "read another run's Kimi home": () => read(join(at.state, 'homes', 'other', 'config.toml')),
  'read another worktree': () => read(join(at.state, 'worktrees', 'other', 'x.txt')),
  'see which worktrees there are': () => {
    if (readdirSync(join(at.state, 'worktrees')).includes('other')) return;
    throw new Error('they are not there');
  },
  'read the record of another run': () => read(join(at.common, 'kimi-dispatch', 'runs', 'other', 'report.md')),
  'read the .env of the checkout': () => read(join(at.checkout, '.env')),
  'read the shell history': () => read(join(at.home, '.bash_history')),
  'read through a link': () => {
    symlinkSync(join(at.home, '.ssh', 'id_rsa'), 'link-to-key');
    read('link-to-key');
  },
  'write through a link': () => {
    symlinkSync(at.home, 'link-to-home');
    write('link-to-home/.profile');
  },
  'a hard link to a secret': () => {
    linkSync(join(at.home, '.netrc'), 'hard');
    read('hard');
  },
  'read through /proc/1/root': () => read(`/proc/1/root${at.home}/.netrc`),
  'read through /proc/self/root': () => read(`/proc/self/root${at.home}/.netrc`),
  'see a process of the host': () => readFileSync(`/proc/${at.pid}/environ`),
  'signal a process of the host': () => process.kill(at.pid, 0),
  'take away the mount over a secret': () => {
    sh(`umount -l '${at.home}/.netrc'`);
    read(join(at.home, '.netrc'));
  },
  'a mount namespace of its own': () => {
    sh(`unshare -Urm sh -c "umount -l '${at.home}/.netrc'; grep -q SECRET '${at.home}/.netrc'"`);
  },
  'mount again for writing': () => {
    sh(`mount -o remount,rw,bind / && touch '${at.home}/remounted'`);
  },
  'a device of its own': () => sh('mknod sda b 8 0 && head -c 1 sda'),
  'the core pattern': () =>
    writeFileSync('/proc/sys/kernel/core_pattern', readFileSync('/proc/sys/kernel/core_pattern')),
  'an inherited descriptor': () => {
    const wrote = readdirSync('/proc/self/fd').filter((fd) => {
      try {
        const target = readlinkSync(`/proc/self/fd/${fd}`);
        if (!target.startsWith(at.home) && !target.startsWith(at.checkout)) return false;
        if (Number(fd) < 3) return false;
        writeSync(Number(fd), '\n');
        return true;
      } catch {
        return false;
      }
    });
    if (wrote.length === 0) throw new Error('none');
  },
  'open a file above the root': () => closeSync(openSync(`/proc/self/cwd/${'../'.repeat(30)}${at.home}/.netrc`, 'r+')),
  'a host on the network': () => dial({ host: '93.184.215.14', port: 80 }),
  "a service on the host's loopback": () => dial({ host: '127.0.0.1', port: at.port }),
  'that service through the proxy': () => tunnel(`127.0.0.1:${at.port}`),
  'that service by name through the proxy': () => tunnel(`localhost:${at.port}`),
  'an unlisted host through the proxy': () => tunnel('example.com:443'),
  'the metadata service through the proxy': () => tunnel('169.254.169.254:80'),
  'a unix socket': () => dial({ path: at.socket }),
  'an abstract unix socket': () => dial({ path: '\0escape' }),
  ...Object.fromEntries(SECRET_FILES.map((path) => [`read ~/${path}`, () => read(join(at.home, path))])),
  ...Object.fromEntries(
    ['.ssh/new', '.config/systemd/user/evil.service', '.config/autostart/evil', '.local/bin/git', 'evil', '.npmrc'].map(
      (path) => [`write ~/${path}`, () => write(join(at.home, path))],
    ),
  ),
  'list the home': () => {
    if (readdirSync(at.home).includes('Documents')) return;
    throw new Error('closed');
  },
  "the token in the repository's config": () => read(join(at.common, 'config')),
  'that token through git': () => {
    if (!sh(`git -C '${process.cwd()}' config --list`).toString().includes('SECRET')) throw new Error('not shown');
  },
  "the token in the user's git config": () => read(join(at.home, '.gitconfig')),
  'a config that is replaced meanwhile': () => appears(join(at.common, 'config')),
  'a secret that appears in the home': () => appears(join(at.home, '.late-secret')),
  'a secret that appears in the checkout': () => appears(join(at.checkout, '.env.late')),
  "a secret that appears in the repository's folder": () => appears(join(at.common, 'late-secret')),
  "a run's record that appears": () => appears(join(at.common, 'kimi-dispatch', 'runs', 'late', 'report.md')),
  'a worktree that appears': () => appears(join(at.state, 'worktrees', 'late', 'x.txt')),
  'a temp file of somebody': () => read(at.temp),
  'a file of the checkout': () => read(join(at.checkout, 'notes.txt')),
  'the state of another repository': () => read(join(at.state, '..', 'ffffffffffff', 'homes', 'x', 'config.toml')),
  'the index of the checkout': () => {
    if (!readFileSync(join(at.common, 'index'), 'latin1').startsWith('DIRC')) throw new Error('closed');
  },
  'the hooks of the repository': () => read(join(at.common, 'hooks', 'pre-push')),
  'the passwords of the machine': () => notEmpty('/etc/shadow'),
  'the passwords of its groups': () => notEmpty('/etc/gshadow'),
  'the host keys of ssh': () => notEmpty('/etc/ssh/ssh_host_ed25519_key'),
  'the folder of mails': () => {
    if (readdirSync('/var/spool').length === 0) throw new Error('empty');
  },
  'shared memory and queues of the machine': () => sameNamespace('ipc', at.ipc),
  'the host name of the machine': () => sameNamespace('uts', at.uts),
  'processes of the machine': () => sameNamespace('pid', at.pidNamespace),
  'the network of the machine': () => sameNamespace('net', at.net),
  'users of the machine': () => sameNamespace('user', at.user),
  'a keyring': () => systemCall(250, 219, 0, -3, 0),
  'a key of its own': () => systemCall(248, 217, 0, 0, 0, 0, -3),
  'asking for a key': () => systemCall(249, 218, 0, 0, 0, -3),
  io_uring: () => systemCall(425, 425, 1, 0),
  bpf: () => systemCall(321, 280, 0, 0, 0),
  userfaultfd: () => systemCall(323, 282, 0),
  'perf events': () => systemCall(298, 241, 0, 0, 0, 0, 0),
  'a socket to the hypervisor': () => python('import socket; socket.socket(40, socket.SOCK_STREAM)'),
  'a pair of unix sockets that leads out': () => dial({ path: '/var/run/docker.sock' }),
  'the socket of the session bus': () => dial({ path: `/run/user/${process.getuid()}/bus` }),
  'a raw socket': () => python('import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)'),
  'a packet socket': () => python('import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'),
  'a name from the resolver': () => sh('getent hosts example.com'),
  'datagrams to the network': () =>
    python(
      "import socket; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.connect(('93.184.215.14',53)); s.send(b'x')",
    ),
  'a registry through the proxy': () => tunnel('registry.npmjs.org:443'),
  'a numeric address through the proxy': () => tunnel('93.184.215.14:443'),
  "the machine's own name through the proxy": () => tunnel(`[::1]:${at.port}`),
  'another spelling of loopback through the proxy': () => tunnel(`2130706433:${at.port}`),
  'all addresses through the proxy': () => tunnel(`0.0.0.0:${at.port}`),
  'a chroot': () => sh('chroot / true'),
  'a new mount': () => sh('mount -t tmpfs none /mnt'),
  'a mount over a closed place': () => sh(`mount --bind / '${at.home}'`),
  'a kernel parameter': () => writeFileSync('/proc/sys/kernel/hostname', 'escaped'),
  'the memory killer': () => writeFileSync('/proc/sysrq-trigger', 'h'),
  'a control group': () => mkdirSync('/sys/fs/cgroup/escaped'),
  'the clock': () => sh('date -s 2001-01-01'),
  'another root': () => sh('pivot_root . .'),
  'a module of the kernel': () => sh('modprobe dummy'),
  'the memory of process 1 outside': () => openSync(`/proc/${at.pid}/mem`, 'r'),
  'the descriptors of the dispatcher': () => readdirSync(`/proc/${at.pid}/fd`),
  'a trace of another process': () => systemCall(101, 117, 16, at.pid, 0, 0) && readFileSync(`/proc/${at.pid}/maps`),
  "the library's folder in /tmp": () => writeFileSync('/tmp/claude/escaped', ''),
  "the host's call": () => {
    const scratch = join(process.env.TMPDIR, '..', '..');
    const own = readdirSync(scratch).filter((name) => name.startsWith('h-'));
    readFileSync(join(scratch, own[0] ?? 'none', 'call.json'));
  },
  'what other commands of the run left in its private folder': () =>
    readdirSync(join(process.env.TMPDIR, '..', '..', 'verification')),
  'the log of the checkout': () => read(join(at.common, 'logs', 'late')),
  'a submodule of the repository': () => read(join(at.common, 'modules', 'sub', 'config')),
  'delete the worktrees folder': () => rmSync(join(at.state, 'worktrees', 'other'), { recursive: true }),
});

/** Closed folders are empty ones of memory inside: a write there succeeds, and is nowhere on the host, which the test looks at. */
export const MEMORY = [
  'write a file of the checkout',
  'change the index of the checkout',
  'write into another worktree',
  'poison the compile cache of Kimi',
  "forge the hooks' state",
  'a line for .bashrc',
  'a file in /tmp',
  'write through a link',
  "the library's folder in /tmp",
  'write ~/evil',
  'write ~/.npmrc',
];

/** Writes into a closed folder, which is an empty one of memory inside: the test looks for it on the host. */
export function plant(at) {
  try {
    mkdirSync(join(at.home, '.ssh'), { recursive: true });
    writeFileSync(join(at.home, '.ssh', 'authorized_keys'), 'escaped');
  } catch {
    // Its folder is not even writable.
  }
}

/** Processes that want to stay: the test looks for them by their argument. */
export function stay(word) {
  for (const script of [
    `nohup sleep ${word}1 >/dev/null 2>&1 &`,
    `setsid sleep ${word}2 >/dev/null 2>&1 &`,
    `trap "" TERM; (trap "" TERM HUP; exec sleep ${word}3) >/dev/null 2>&1 &`,
    `(setsid sh -c "sleep ${word}4 &" &) >/dev/null 2>&1`,
    `env -i /bin/sh -c "setsid sleep ${word}5 &" >/dev/null 2>&1`,
  ])
    spawn('/bin/sh', ['-c', script], { detached: true, stdio: 'ignore' }).unref();
}

/** Tries every way; returns the names of those that worked. */
export async function tryAll(at) {
  const worked = [];
  const all = Object.entries(ways(at));
  for (const [name, way] of all)
    try {
      await way();
      worked.push(name);
    } catch {
      // Stopped.
    }
  return { tried: all.map(([name]) => name), worked };
}
