/** Who lives where, and whom they may call. ARCHITECTURE.md prints this table; `npm test` enforces it. */
export const rooms = {
  base: { may: [], node: [] },
  wire: { may: ['base'], node: [] },
  model: { may: ['base'], node: [] },
  identity: { may: ['base', 'wire'], node: ['crypto', 'util'], npm: ['jose'] },
  xds: { may: ['base', 'wire', 'model'], node: [], npm: ['@bufbuild/protobuf', '@bufbuild/protobuf/wkt'] },
  resources: { may: ['base'], node: [], npm: ['yaml', 'zod'] },
  compiler: { may: ['base', 'model', 'resources'], node: [] },
  api: { may: ['base', 'model', 'resources'], node: [] },
  io: {
    may: ['base', 'wire'],
    node: ['net', 'tls', 'http', 'dgram', 'dns', 'fs', 'path', 'os', 'url', 'crypto', 'child_process', 'ffi', 'sqlite', 'worker_threads', 'process', 'module', 'timers', 'readline', 'stream', 'zlib', 'util', 'events'],
    npm: ['@grpc/grpc-js', 'pino'],
  },
  proxy: { may: ['base', 'wire', 'model', 'identity', 'xds', 'io'], node: [] },
  platforms: { may: ['base', 'model', 'resources', 'identity', 'io'], node: [] },
  observe: { may: ['base', 'model', 'io'], node: [] },
  control: { may: ['base', 'model', 'identity', 'xds', 'resources', 'compiler', 'api', 'io', 'platforms', 'observe'], node: [] },
  cli: { may: ['base', 'model', 'resources', 'compiler', 'api', 'io'], node: ['util'], npm: ['commander', 'yaml'] },
  bin: { may: ['base', 'model', 'identity', 'api', 'io', 'proxy', 'control', 'cli'], node: ['process', 'os', 'fs', 'path', 'url'] },
} as const satisfies Record<string, { may: readonly string[]; node: readonly string[]; npm?: readonly string[] }>
