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
  "read git's configuration": () => read(join(at.common, 'config')),
  'read a password of postgres': () => read(join(at.home, '.pgpass')),
  'read the settings of kimi-dispatch': () => read(join(at.home, '.config', 'kimi-dispatch', 'config.toml')),
  'read mail of others': () => read(join(at.home, '.local', 'share', 'kimi-dispatch', 'mailbox', 'x')),
  'read a note in the home folder': () => read(join(at.home, 'notes.txt')),
  'read another repository': () => read(join(at.home, 'work', 'other', 'secret.txt')),
  'read direnv': () => read(join(at.checkout, '.envrc')),
  'read the passwords of the machine': () => {
    if (readFileSync('/etc/shadow', 'utf8').length === 0) throw new Error('it is closed');
  },
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
  'delete the worktrees folder': () => rmSync(join(at.state, 'worktrees', 'other'), { recursive: true }),
});

/** Writes into a closed folder, which is an empty one of memory inside: the test looks for it on the host. */
export function plant(at) {
  writeFileSync(join(at.home, '.ssh', 'authorized_keys'), 'escaped');
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
  return { tried: all.length, worked };
}
