/** The text editor: YAML, marks in the gutter where something is wrong, and a read-only form for showing text. */

import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands'
import { yaml } from '@codemirror/lang-yaml'
import { bracketMatching, foldGutter, indentOnInput, indentUnit, syntaxHighlighting } from '@codemirror/language'
import type { Diagnostic } from '@codemirror/lint'
import { lintGutter, setDiagnostics } from '@codemirror/lint'
import type { Extension } from '@codemirror/state'
import { EditorState } from '@codemirror/state'
import { EditorView, drawSelection, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from '@codemirror/view'
import type { ReactNode } from 'react'
import { useEffect, useRef } from 'react'
import type { Mark } from './document.ts'
import css from './editor.module.css'

/** What a piece of YAML is, by the name of its tag: `definition(propertyName)` and `propertyName` are both keys. */
const pieces = [
  [/propertyName/, css['key']],
  [/string|attributeValue|content/, css['text']],
  [/number|bool|null/, css['number']],
  [/comment/, css['comment']],
  [/punctuation|separator|bracket|brace/i, css['sign']],
] as const
const colours: Highlighter = { style: tags => pieces.find(([name]) => tags.some(tag => name.test(String(tag))))?.[1] ?? null }

type Highlighter = Parameters<typeof syntaxHighlighting>[0]

const base: readonly Extension[] = [
  lineNumbers(),
  foldGutter(),
  yaml(),
  syntaxHighlighting(colours),
  bracketMatching(),
  EditorView.lineWrapping,
]

type EditorProps = {
  readonly text: string
  readonly change: (text: string) => void
  readonly marks: readonly Mark[]
  readonly label: string
  readonly save?: () => void
}

export function Editor({ text, change, marks, label, save }: EditorProps): ReactNode {
  const host = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView | undefined>(undefined)
  const tell = useRef({ change, save })
  tell.current = { change, save }

  useEffect(() => {
    const editor = new EditorView({
      parent: host.current!,
      state: EditorState.create({
        doc: text,
        extensions: [
          ...base,
          history(),
          drawSelection(),
          highlightActiveLine(),
          highlightActiveLineGutter(),
          indentOnInput(),
          indentUnit.of('  '),
          lintGutter(),
          // Escape then Tab leaves the editor; that is CodeMirror's way of keeping Tab for indenting without a keyboard trap.
          keymap.of([
            { key: 'Mod-s', preventDefault: true, run: () => (tell.current.save?.(), true) },
            ...defaultKeymap,
            ...historyKeymap,
            indentWithTab,
          ]),
          EditorView.contentAttributes.of({ 'aria-label': label }),
          EditorView.updateListener.of(update => update.docChanged && tell.current.change(update.state.doc.toString())),
        ],
      }),
    })
    view.current = editor
    return () => editor.destroy()
  }, [label])

  useEffect(() => {
    const editor = view.current
    if (editor && editor.state.doc.toString() !== text) editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text } })
  }, [text])

  useEffect(() => {
    const editor = view.current
    if (!editor) return
    const most = editor.state.doc.length
    const found: Diagnostic[] = marks.map(mark => ({
      from: Math.min(mark.from, most),
      to: Math.min(mark.to, most),
      severity: 'error',
      message: mark.path ? `${mark.path}: ${mark.says}` : mark.says,
    }))
    editor.dispatch(setDiagnostics(editor.state, found))
  }, [marks, text])

  return <div ref={host} className={css['editor']} data-testid="editor" />
}

/** The same, to read only. */
export function Code({ text, label }: { text: string; label: string }): ReactNode {
  const host = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const view = new EditorView({
      parent: host.current!,
      state: EditorState.create({
        doc: text,
        extensions: [...base, EditorState.readOnly.of(true), EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0' })],
      }),
    })
    return () => view.destroy()
  }, [text, label])
  return <div ref={host} className={css['editor']} data-testid="code" />
}
