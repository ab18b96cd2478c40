// A reporter for node:test: what became of each file, a line of JSON each: its tests by outcome, and how long they took together.
export default async function* byFile(events) {
  const files = new Map()
  for await (const { type, data } of events) {
    if ((type !== 'test:pass' && type !== 'test:fail') || data.file === undefined) continue
    if (!files.has(data.file)) files.set(data.file, { file: data.file, passed: 0, failed: 0, skipped: 0, seconds: 0 })
    const file = files.get(data.file)
    if (data.nesting === 0) file.seconds += data.details.duration_ms / 1000
    const isLeftOut = data.skip !== undefined || data.todo !== undefined
    if (data.details.type !== 'suite') file[isLeftOut ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed']++
    else if (type === 'test:fail') file.hasFailed = true // a hook of its own did, or a test in it
  }
  for (const file of files.values()) yield `${JSON.stringify(file)}\n`
}
