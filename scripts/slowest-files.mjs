// A reporter for node:test: how long each file's tests took, the slowest first, on one line.
export default async function* slowestFiles(events) {
  const seconds = new Map()
  for await (const { type, data } of events)
    if ((type === 'test:pass' || type === 'test:fail') && data.nesting === 0 && data.file !== undefined) {
      const name = data.file.slice(data.file.lastIndexOf('/') + 1).replace('.test.ts', '')
      seconds.set(name, (seconds.get(name) ?? 0) + data.details.duration_ms / 1000)
    }
  yield [...seconds]
    .sort(([, a], [, b]) => b - a)
    .slice(0, 24)
    .map(([name, took]) => `${name} ${took.toFixed(0)} s`)
    .join(' · ')
}
