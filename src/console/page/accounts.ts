import { type Account, request } from './api.ts'
import { confirm } from './confirmation.ts'
import { leaveForX } from './connect.ts'
import { copyTemplate, find, onClick, setAvatar, setText } from './elements.ts'
import { accountBadges, actionWords, explainAccount, formatAge, formatMoment } from './wording.ts'

/** The list of connected accounts. */
export type AccountList = { setAccounts(accounts: readonly Account[]): void }

/** Sets up the list of accounts. `changed` is called after a change, to load them again. */
export function createAccountList(on: { changed(): Promise<void>; error(error: unknown): void }): AccountList {
  const list = find(document, '#accounts', HTMLElement)
  const problem = find(document, '#accounts-problem', HTMLElement)
  let shown = new Map<string, { account: Account; item: HTMLElement }>()

  async function guarded(work: () => Promise<void>): Promise<void> {
    setText(problem, null)
    await work().catch(on.error)
  }

  async function connect(reconnectAccountId: string | null): Promise<void> {
    setText(problem, await leaveForX(reconnectAccountId))
  }

  async function disconnect({ id, username }: Account): Promise<void> {
    const isSure = await confirm({
      title: `Disconnect @${username}?`,
      text: 'The gateway deletes its tokens and revokes its access at X. You can connect the account again at any time.',
      action: 'Disconnect',
    })
    if (!isSure) return
    const { disconnectAccount } = await request('DisconnectAccount', { input: { accountId: id } })
    setText(problem, disconnectAccount.userErrors[0]?.message ?? null)
    await on.changed()
    // The focused button has been removed.
    find(document, '#accounts-title', HTMLElement).focus()
  }

  function createItem(id: string): HTMLElement {
    const item = copyTemplate('#account-template')
    onClick(find(item, '.next', HTMLButtonElement), () => guarded(() => connect(id)))
    onClick(find(item, '.disconnect', HTMLButtonElement), () =>
      guarded(async () => {
        const account = shown.get(id)?.account
        if (account !== undefined) await disconnect(account)
      }),
    )
    return item
  }

  function fillItem(item: HTMLElement, account: Account): void {
    const { username, displayName, status, nextAction, connectedAt, lastUsedAt } = account
    setAvatar(find(item, '.avatar', HTMLElement), username, account.avatarUrl)
    find(item, '.name', HTMLElement).textContent = displayName ?? username
    find(item, '.username', HTMLElement).textContent = `@${username}`
    const badge = find(item, '.badge', HTMLElement)
    badge.textContent = accountBadges[status].word
    badge.dataset.tone = accountBadges[status].tone
    setText(find(item, '.reason', HTMLElement), explainAccount(account))
    const facts = find(item, '.facts', HTMLElement)
    facts.textContent =
      lastUsedAt === null ? `Connected ${formatAge(connectedAt)}` : `Last post ${formatAge(lastUsedAt)}`
    facts.hidden = nextAction !== null
    facts.title = `Connected ${formatMoment(connectedAt)}`
    const next = find(item, '.next', HTMLButtonElement)
    setText(next, nextAction === null ? null : actionWords[nextAction])
    next.setAttribute('aria-description', `@${username}`)
    find(item, '.disconnect', HTMLButtonElement).setAttribute('aria-description', `@${username}`)
  }

  onClick(find(document, '#connect', HTMLButtonElement), () => guarded(() => connect(null)))
  return {
    setAccounts: (accounts) => {
      // The list is loaded again after each post. An item that stays keeps its element, and with it
      // the focus, or the place that a dialog gives the focus back to.
      shown = new Map(
        accounts.map((account) => [
          account.id,
          { account, item: shown.get(account.id)?.item ?? createItem(account.id) },
        ]),
      )
      const items = [...shown.values()].map(({ account, item }) => {
        fillItem(item, account)
        return item
      })
      // An element that is moved loses its focus.
      if (items.length !== list.children.length || items.some((item, index) => item !== list.children[index]))
        list.replaceChildren(...items)
      find(document, '#no-accounts', HTMLElement).hidden = accounts.length > 0
      find(document, '#connect', HTMLElement).classList.toggle('primary', accounts.length === 0)
      find(document, '#signed-in', HTMLElement).classList.toggle('first', accounts.length === 0)
    },
  }
}
