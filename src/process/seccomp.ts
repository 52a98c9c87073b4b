/** One architecture as seccomp knows it: its id, and the numbers of its system calls. */
interface Architecture {
  readonly id: number;
  /** The first number of a second table of calls that the kernel has for it. */
  readonly second?: number;
  readonly socket: number;
  /** Keyrings, io_uring (which opens sockets past any filter), bpf, userfaultfd, perf. */
  readonly refused: readonly number[];
}

const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  x64: {
    id: 0xc000003e,
    second: 0x40000000,
    socket: 41,
    refused: [248, 249, 250, 298, 321, 323, 425, 426, 427],
  },
  arm64: { id: 0xc00000b7, socket: 198, refused: [217, 218, 219, 241, 280, 282, 425, 426, 427] },
};

const [LOAD, EQUAL, AT_LEAST, RETURN] = [0x20, 0x15, 0x35, 0x06];
const [ALLOW, REFUSE] = [0x7fff0000, 0x00050001];
const AF_VSOCK = 40;

/**
 * A filter of system calls for bubblewrap: calls of another architecture, keyrings and sockets to a hypervisor are
 * refused with EPERM. Undefined where this machine's architecture is not known.
 */
export function seccompFilter(arch: string): Buffer | undefined {
  const machine = ARCHITECTURES[arch];
  if (machine === undefined) return undefined;
  const tests: [code: number, value: number][] = [
    ...(machine.second === undefined ? [] : [[AT_LEAST, machine.second] as [number, number]]),
    ...machine.refused.map((call): [number, number] => [EQUAL, call]),
  ];
  // After the tests: is it `socket`, its first argument, is that vsock, allow, refuse.
  return Buffer.concat([
    instruction(LOAD, 4),
    instruction(EQUAL, machine.id, 0, tests.length + 5),
    instruction(LOAD, 0),
    ...tests.map(([code, value], place) => instruction(code, value, tests.length + 3 - place)),
    instruction(EQUAL, machine.socket, 0, 2),
    instruction(LOAD, 16),
    instruction(EQUAL, AF_VSOCK, 1, 0),
    instruction(RETURN, ALLOW),
    instruction(RETURN, REFUSE),
  ]);
}

function instruction(code: number, value: number, yes = 0, no = 0): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt8(yes, 2);
  bytes.writeUInt8(no, 3);
  bytes.writeUInt32LE(value, 4);
  return bytes;
}
