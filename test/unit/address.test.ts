import { describe, expect, it } from 'vitest';
import { isBelow } from '../../src/queue/address.ts';

describe('an address is below a setting', () => {
  it.each([
    ['https://host/team/p.git', 'https://host/team'],
    ['https://host/team/p', 'https://host/team/p.git'],
    ['https://HOST:443/team/p.git', 'https://host/team/'],
    ['https://host/te%61m/p.git', 'https://host/team'],
    ['https://host/team/p.git', 'https://bot:secret@host/team'],
    ['https://host:8443/team/p.git', 'https://host:8443'],
    ['git@host:team/p.git', 'git@host:team/'],
    ['git@host:team/p.git', 'git@host:'],
    ['ssh://git@host/team/p.git', 'ssh://git@HOST:22/team'],
    ['/srv/git/p.git', 'file:///srv/git'],
  ])('%s, %s', (address, start) => {
    expect(isBelow(address, start)).toBe(true);
  });
});

describe('an address is not below a setting', () => {
  it.each([
    ['https://host/team-evil/p.git', 'https://host/team'],
    ['https://host/team/../evil/p.git', 'https://host/team'],
    ['https://host/team/%2e%2e/evil/p.git', 'https://host/team'],
    ['https://host/team/..%2fevil/p.git', 'https://host/team'],
    ['https://host/team/%252e%252e/evil', 'https://host/team'],
    ['https://host/team%2f..%2fevil', 'https://host'],
    ['https://host/team/a\\..\\..\\evil', 'https://host/team'],
    ['https://host/team/p?x=/../evil', 'https://host/team'],
    ['https://host.evil/p.git', 'https://host'],
    ['https://host%2fevil/p.git', 'https://host'],
    ['https://host%2fteam@evil/p.git', 'https://host'],
    ['https://host@evil/team/p.git', 'https://host/team'],
    ['https://host\\@evil/team/p.git', 'https://host/team'],
    ['https://host:443@evil/team', 'https://host/team'],
    ['https://a@host@evil/team', 'https://host/team'],
    ['https://host:8443/team/p.git', 'https://host/team'],
    ['http://host/team/p.git', 'https://host/team'],
    ['ssh://root@host/team/p.git', 'ssh://git@host/team'],
    ['ssh://git@host%2eevil/team', 'ssh://git@host'],
    ['ssh://-oProxyCommand=x/team', 'ssh://git@host'],
    ['git@host:/etc/p', 'git@host:etc'],
    ['https://host/team/p/more', 'https://host/team/p.git'],
    ['ext::sh -c evil', 'ext::sh'],
    ['file://evil/srv/git/p', '/srv/git'],
    ['https://host/team/p\n', 'https://host/team'],
  ])('%s, %s', (address, start) => {
    expect(isBelow(address, start)).toBe(false);
  });
});
