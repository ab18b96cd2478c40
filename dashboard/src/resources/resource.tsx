/** One resource: its text to edit, checked as one types, compared before it is applied, followed until every proxy has it. */

import { Alert, Button, Group, Modal } from '@mantine/core'
import { IconAlertTriangle, IconFileOff } from '@tabler/icons-react'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { useEffect, useState } from 'react'
import { useWhyNot } from '../api/login.ts'
import { ApiError } from '../api/queries.ts'
import type { Kind, Resource } from '../api/resources.ts'
import { isConflict, objectQuery, readObject, revisionOf } from '../api/resources.ts'
import { Converging } from '../shared/converging.tsx'
import { Empty, Loading, Refused } from '../shared/empty.tsx'
import { Page } from '../shared/page.tsx'
import { Conditions } from './conditions.tsx'
import { DeleteButton } from './delete-button.tsx'
import { Diff } from './diff.tsx'
import { toText } from './document.ts'
import { useDraft, write } from './draft.ts'
import { Editor } from './editor.tsx'
import css from './page.module.css'
import { KindLink } from './page.tsx'
import { useKind } from './use-kind.tsx'
import { ApplyError, Problems, Verdict } from './verdict.tsx'

export function ResourcePage(): ReactNode {
  const { kind, waiting } = useKind()
  const { namespace: named, name } = useParams({ from: '/resources/$group/$version/$plural/$namespace/$name' })
  const namespace = named === '_' ? undefined : named
  const object = useQuery(objectQuery(kind, namespace, name))
  if (!kind) return waiting
  if (object.error instanceof ApiError && object.error.code === 404)
    return (
      <Empty icon={<IconFileOff size={36} stroke={1.2} />} title={`${kind.kind} ${name} does not exist`}>
        It was deleted, or never was. <KindLink kind={kind} />
      </Empty>
    )
  if (!object.data) return object.error ? <Refused error={object.error} retry={() => void object.refetch()} /> : <Loading />
  return (
    <Existing key={`${namespace}/${name}`} kind={kind} live={{ ...object.data, apiVersion: object.data.apiVersion, kind: kind.kind }} />
  )
}

function Existing({ kind, live }: { kind: Kind; live: Resource }): ReactNode {
  // The text belongs to the version it was made from; a newer one replaces it only while nothing was typed.
  const [base, setBase] = useState(live)
  const [text, setText] = useState(() => toText(live))
  const isChanged = text !== toText(base)
  const isBehind = base.metadata.resourceVersion !== live.metadata.resourceVersion
  useEffect(() => {
    if (isChanged || !isBehind) return
    setBase(live)
    setText(toText(live))
  }, [live, isChanged, isBehind])
  const client = useQueryClient()
  const whyNot = useWhyNot(kind, live.metadata.namespace)
  const draft = useDraft(kind, text, base)
  // Asked for while it is still being judged, the comparison opens as soon as that is done; typing on takes the question back.
  const [isAsked, ask] = useState(false)
  const isComparing = isAsked && isChanged && draft.verdict === 'valid' && whyNot === undefined
  const apply = useMutation({
    mutationFn: (resource: Resource) => write(kind, resource, base, false),
    onSuccess: saved => {
      const whole = { ...saved, kind: kind.kind }
      client.setQueryData(objectQuery(kind, saved.metadata.namespace, saved.metadata.name).queryKey, whole)
      setBase(whole)
      setText(toText(whole))
      ask(false)
    },
    onError: thrown => isConflict(thrown) && ask(false),
  })
  const compare = (): void => ask(true)
  const type = (next: string): void => {
    setText(next)
    ask(false)
  }
  const takeTheirs = async (keepMine: boolean): Promise<void> => {
    const newest = await readObject(kind, live.metadata.namespace, live.metadata.name)
    const whole = { ...newest, kind: kind.kind }
    setBase(whole)
    // Mine goes on top of theirs: same text; the comparison then shows what of theirs it would undo.
    if (!keepMine) setText(toText(whole))
    apply.reset()
  }
  return (
    <Page
      name={live.metadata.name}
      before={<KindLink kind={kind} />}
      title={
        <>
          {live.metadata.name} {live.metadata.namespace && <span className={css['where']}>{live.metadata.namespace}</span>}
        </>
      }
      aside={
        <>
          <DeleteButton kind={kind} live={live} />
          <Button size="xs" variant="default" disabled={!isChanged} onClick={() => setText(toText(base))}>
            Undo edits
          </Button>
          <Button
            size="xs"
            disabled={!isChanged || draft.verdict !== 'valid' || whyNot !== undefined}
            title={whyNot}
            onClick={compare}
            data-testid="compare"
          >
            Compare and apply
          </Button>
        </>
      }
    >
      {(isConflict(apply.error) || (isBehind && isChanged)) && (
        <Alert
          color="orange"
          variant="light"
          mb="md"
          icon={<IconAlertTriangle />}
          title="Somebody changed this resource while you were editing"
          data-testid="conflict"
        >
          <Group gap="xs" mt={4}>
            <Button size="xs" variant="default" onClick={() => void takeTheirs(true)}>
              Keep my text, compare with theirs
            </Button>
            <Button size="xs" variant="default" onClick={() => void takeTheirs(false)}>
              Drop mine, show theirs
            </Button>
          </Group>
        </Alert>
      )}
      <div className={css['two']}>
        <div>
          <div className={css['state']}>
            {isChanged ? (
              <Verdict draft={draft} />
            ) : apply.data ? (
              <Converging revision={revisionOf(apply.data)} />
            ) : (
              <span className="soft">{whyNot ?? 'No unsaved edits. Ctrl+S compares and applies.'}</span>
            )}
          </div>
          <Editor
            text={text}
            change={type}
            marks={isChanged ? draft.marks : []}
            label={`${kind.kind} ${live.metadata.name} as YAML`}
            save={compare}
          />
          {isChanged && <Problems draft={draft} />}
          {apply.error && !isConflict(apply.error) && <ApplyError error={apply.error} />}
        </div>
        <aside className={css['side']}>
          <div>
            <h2>Conditions</h2>
            <Conditions resource={live} />
          </div>
          <div className="soft">
            revision {live.metadata.resourceVersion}
            {live.metadata.generation !== undefined && `, generation ${live.metadata.generation}`}
            {live.metadata.creationTimestamp && `, made ${new Date(live.metadata.creationTimestamp).toLocaleString()}`}
          </div>
        </aside>
      </div>
      <Modal opened={isComparing} onClose={() => ask(false)} size="xl" title={`Apply to ${live.metadata.name}?`}>
        <Diff before={toText(base)} after={text} />
        {apply.error && <ApplyError error={apply.error} />}
        <Group justify="flex-end" mt="md">
          <Button variant="default" onClick={() => ask(false)}>
            Not yet
          </Button>
          <Button
            loading={apply.isPending}
            onClick={() => draft.resource && apply.mutate(draft.resource)}
            data-autofocus
            data-testid="apply"
          >
            Apply
          </Button>
        </Group>
      </Modal>
    </Page>
  )
}
