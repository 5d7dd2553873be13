%% One connection to a NATS server, for as long as there is no official client in Erlang.
%%
%% It reconnects with a growing, jittered pause, and subscribes again. What is published meanwhile is
%% refused instead of waiting in a queue: it would be sent when nobody waits for it any more.
-module(beamline_nats).
-behaviour(gen_server).

-export([start_link/1, subscribe/2, unsubscribe/1, drain/1, publish/4, request/5, flush/0, random/0]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2]).

%% A connection attempt holds up the callers for no longer than this.
-define(CONNECT_MS, 1000).
-define(FIRST_PAUSE_MS, 20).
-define(LONGEST_PAUSE_MS, 2000).
%% From the first byte on, a server may take so long to greet and to accept us.
-define(HANDSHAKE_MS, 3000).
%% A server that does not answer a PING within one of these is gone.
-define(PING_MS, 5000).

-record(state, {
    host :: string(),
    port :: inet:port_number(),
    login :: map(),
    socket :: gen_tcp:socket() | undefined,
    %% Only after the first PONG has the server accepted us.
    up = false :: boolean(),
    buffer = <<>> :: binary(),
    next = 1 :: pos_integer(),
    %% Who gets what: by its number, the process, the subject and the queue group, or `<<>>`.
    subscriptions = #{} :: #{pos_integer() => {pid(), binary(), binary()}},
    %% Who waits for a PONG, oldest first.
    pings = [] :: [gen_server:from() | alive],
    pause = ?FIRST_PAUSE_MS :: pos_integer()
}).

%% `Url`: `nats://[user:password@]host:port`, or a token before the `@`.
-spec start_link(string()) -> gen_server:start_ret().
start_link(Url) ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, Url, []).

%% From now on the caller gets `{nats, Number, Message}`; with a group, one of its members does.
-spec subscribe(binary(), binary()) -> pos_integer().
subscribe(Subject, Group) ->
    gen_server:call(?MODULE, {subscribe, self(), Subject, Group}).

-spec unsubscribe(pos_integer()) -> ok.
unsubscribe(Number) ->
    gen_server:call(?MODULE, {unsubscribe, Number}).

%% Ends a subscription of the caller's without a loss: after what the server has sent by now, the
%% caller gets `{nats, Number, drained}`.
-spec drain(pos_integer()) -> ok.
drain(Number) ->
    ok = gen_server:call(?MODULE, {drain, Number}, infinity),
    ok = unsubscribe(Number),
    self() ! {nats, Number, drained},
    ok.

%% With `ReplyTo` `<<>>` nobody can answer. If nobody is there to, the server says so at once, with a
%% message of status 503.
-spec publish(binary(), binary(), beamline_nats_wire:headers(), binary()) ->
    ok | {error, disconnected}.
publish(Subject, ReplyTo, Headers, Payload) ->
    gen_server:call(?MODULE, {publish, beamline_nats_wire:publish(Subject, ReplyTo, Headers, Payload)}).

%% Asks, and gives each reply to `Take`, which says whether more follow. Ends after `TimeoutMs`, and
%% at once if nobody is there to answer.
-spec request(binary(), beamline_nats_wire:headers(), binary(), non_neg_integer(), Take) ->
    ok | {error, no_responders | disconnected | timeout}
when
    Take :: fun((beamline_nats_wire:message()) -> boolean()).
request(Subject, Headers, Payload, TimeoutMs, Take) ->
    Inbox = <<"_INBOX.", (random())/binary>>,
    End = erlang:monotonic_time(millisecond) + TimeoutMs,
    Replies = subscribe(Inbox, <<>>),
    Outcome =
        case publish(Subject, Inbox, Headers, Payload) of
            ok -> take(Replies, Take, End);
            Disconnected -> Disconnected
        end,
    ok = unsubscribe(Replies),
    Outcome.

take(Replies, Take, End) ->
    receive
        {nats, Replies, #{status := 503}} ->
            {error, no_responders};
        {nats, Replies, Reply} ->
            case Take(Reply) of
                true -> take(Replies, Take, End);
                false -> ok
            end
    after max(0, End - erlang:monotonic_time(millisecond)) -> {error, timeout}
    end.

%% Waits until the server has taken all that came before, however long it takes to connect.
-spec flush() -> ok.
flush() ->
    gen_server:call(?MODULE, flush, infinity).

%% 16 digits that are hard to guess, for an inbox or the id of a call.
-spec random() -> binary().
random() ->
    {ok, Source} = file:open("/dev/urandom", [read, raw, binary]),
    {ok, Bytes} = file:read(Source, 8),
    ok = file:close(Source),
    binary:encode_hex(Bytes).

init(Url) ->
    Parts = #{host := Host} = uri_string:parse(Url),
    {ok, _} = timer:send_interval(?PING_MS, ping),
    State = #state{
        host = Host,
        port = maps:get(port, Parts, 4222),
        login = login(maps:get(userinfo, Parts, ""))
    },
    {ok, State, {continue, connect}}.

login("") -> #{};
login(UserInfo) ->
    case [uri_string:percent_decode(list_to_binary(Part)) || Part <- string:split(UserInfo, ":")] of
        [User, Password] -> #{user => User, pass => Password};
        [Token] -> #{auth_token => Token}
    end.

handle_continue(connect, State) ->
    {noreply, connect(State)}.

handle_call({subscribe, Pid, Subject, Group}, _From, State = #state{next = Number}) ->
    Subscriptions = (State#state.subscriptions)#{Number => {Pid, Subject, Group}},
    Next = State#state{next = Number + 1, subscriptions = Subscriptions},
    {reply, Number, send(beamline_nats_wire:subscribe(Number, Subject, Group), Next)};
handle_call({unsubscribe, Number}, _From, State = #state{subscriptions = Subscriptions}) ->
    Next = State#state{subscriptions = maps:remove(Number, Subscriptions)},
    {reply, ok, send(beamline_nats_wire:unsubscribe(Number), Next)};
handle_call({drain, Number}, From, State) ->
    {noreply, ping(From, send(beamline_nats_wire:unsubscribe(Number), State))};
handle_call({publish, _}, _From, State = #state{up = false}) ->
    {reply, {error, disconnected}, State};
handle_call({publish, Bytes}, _From, State) ->
    {reply, ok, send(Bytes, State)};
handle_call(flush, From, State) ->
    {noreply, ping(From, State)}.

handle_cast(_, State) ->
    {noreply, State}.

handle_info({tcp, Socket, Bytes}, State = #state{socket = Socket, buffer = Buffer}) ->
    {noreply, listen(read(State#state{buffer = <<Buffer/binary, Bytes/binary>>}))};
handle_info({tcp_closed, Socket}, State = #state{socket = Socket}) ->
    {noreply, disconnect(closed, State)};
handle_info({tcp_error, Socket, Reason}, State = #state{socket = Socket}) ->
    {noreply, disconnect(Reason, State)};
handle_info({timeout, _, connect}, State) ->
    {noreply, connect(State)};
handle_info({timeout, _, {handshake, Socket}}, State = #state{socket = Socket, up = false}) ->
    {noreply, disconnect(no_handshake, State)};
handle_info(ping, State = #state{up = true, pings = Pings}) ->
    case lists:member(alive, Pings) of
        true -> {noreply, disconnect(no_pong, State)};
        false -> {noreply, ping(alive, State)}
    end;
%% Also the timer of a handshake that was completed.
handle_info(_OfAnEarlierSocket, State) ->
    {noreply, State}.

connect(State = #state{host = Host, port = Port}) ->
    Options = [binary, {active, once}, {nodelay, true}, {send_timeout, 2000}],
    case gen_tcp:connect(Host, Port, Options, ?CONNECT_MS) of
        {ok, Socket} ->
            erlang:start_timer(?HANDSHAKE_MS, self(), {handshake, Socket}),
            State#state{socket = Socket, buffer = <<>>};
        {error, Reason} -> disconnect(Reason, State)
    end.

%% Who has asked for a flush waits on, for the next connection.
disconnect(Reason, State = #state{socket = Socket, pings = Pings, pause = Pause}) ->
    is_port(Socket) andalso gen_tcp:close(Socket),
    State#state.up andalso logger:warning("NATS connection lost: ~p", [Reason]),
    erlang:start_timer(Pause div 2 + rand:uniform(Pause), self(), connect),
    State#state{
        socket = undefined,
        up = false,
        pings = lists:delete(alive, Pings),
        pause = min(Pause * 2, ?LONGEST_PAUSE_MS)
    }.

%% What is not sent for want of a connection is sent with the next one: see `handle/2` of a PONG.
send(_, State = #state{up = false}) ->
    State;
send(Bytes, State) ->
    write(Bytes, State).

write(Bytes, State = #state{socket = Socket}) ->
    case gen_tcp:send(Socket, Bytes) of
        ok -> State;
        {error, Reason} -> disconnect(Reason, State)
    end.

ping(Who, State = #state{pings = Pings}) ->
    send(<<"PING\r\n">>, State#state{pings = Pings ++ [Who]}).

%% Asks for the next bytes: one packet at a time, so that the server waits when we are behind.
listen(State = #state{socket = undefined}) ->
    State;
listen(State = #state{socket = Socket}) ->
    case inet:setopts(Socket, [{active, once}]) of
        ok -> State;
        {error, Reason} -> disconnect(Reason, State)
    end.

%% Handles every whole operation of the buffer. What cannot be parsed ends the connection: its
%% framing is lost.
read(State = #state{buffer = Buffer}) ->
    try beamline_nats_wire:parse(Buffer) of
        more -> State;
        {Operation, Rest} ->
            case handle(Operation, State#state{buffer = Rest}) of
                Gone = #state{socket = undefined} -> Gone;
                Next -> read(Next)
            end
    catch
        error:_ -> disconnect(protocol_error, State)
    end.

handle(info, State = #state{up = true}) ->
    State;
handle(info, State = #state{login = Login}) ->
    write([beamline_nats_wire:connect(Login), <<"PING\r\n">>], State);
handle(ping, State) ->
    write(<<"PONG\r\n">>, State);
handle(pong, State = #state{up = false, subscriptions = Subscriptions, pings = Waiting}) ->
    Again = [
        beamline_nats_wire:subscribe(Number, Subject, Group)
     || {Number, {_, Subject, Group}} <- maps:to_list(Subscriptions)
    ],
    Pings = [<<"PING\r\n">> || _ <- Waiting],
    write([Again, Pings], State#state{up = true, pause = ?FIRST_PAUSE_MS});
handle(pong, State = #state{pings = [First | Rest]}) ->
    First =:= alive orelse gen_server:reply(First, ok),
    State#state{pings = Rest};
handle({message, Number, Message}, State = #state{subscriptions = Subscriptions}) ->
    case Subscriptions of
        #{Number := {Pid, _, _}} -> Pid ! {nats, Number, Message};
        #{} -> dropped
    end,
    State;
handle({error, Reason}, State) ->
    logger:warning("NATS server says ~ts", [Reason]),
    State;
handle(ok, State) ->
    State.
