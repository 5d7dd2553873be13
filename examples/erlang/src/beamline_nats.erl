%% One connection to a NATS server, for requests. It reconnects with a growing, jittered pause; a
%% request made meanwhile fails at once instead of waiting in a queue.
-module(beamline_nats).
-behaviour(gen_server).

-export([start_link/1, request/4, publish/2]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2]).

-type failure() :: no_responders | timeout | disconnected | overloaded.

%% A connection attempt holds up the callers for no longer than this.
-define(CONNECT_MS, 1000).
-define(FIRST_PAUSE_MS, 20).
-define(LONGEST_PAUSE_MS, 2000).
%% A server that does not answer a PING within one of these is gone.
-define(PING_MS, 5000).
%% More requests at once are refused.
-define(MAX_PENDING, 4096).

-record(state, {
    host :: string(),
    port :: inet:port_number(),
    login :: map(),
    socket :: gen_tcp:socket() | undefined,
    %% Only after the first PONG has the server accepted us.
    up = false :: boolean(),
    buffer = <<>> :: binary(),
    inbox :: binary(),
    next = 0 :: non_neg_integer(),
    pending = #{} :: #{binary() => {gen_server:from(), reference()}},
    pause = ?FIRST_PAUSE_MS :: pos_integer(),
    unanswered_pings = 0 :: non_neg_integer()
}).

%% `Options`: `url` (`nats://[user:password@]host:port`) and `name`.
-spec start_link(map()) -> gen_server:start_ret().
start_link(Options) ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, Options, []).

%% The first reply to a request. A `timeout` says nothing about whether it was carried out;
%% `no_responders` and `disconnected` say that it was not.
-spec request(binary(), beamline_nats_wire:headers(), binary(), pos_integer()) ->
    {ok, beamline_nats_wire:message()} | {error, failure()}.
request(Subject, Headers, Payload, TimeoutMs) ->
    %% The server has a timer for each request, and ends it before this one gives up.
    Patience = TimeoutMs + ?CONNECT_MS + 1000,
    try
        gen_server:call(?MODULE, {request, Subject, Headers, Payload, TimeoutMs}, Patience)
    catch
        exit:{timeout, _} -> {error, timeout};
        exit:{noproc, _} -> {error, disconnected}
    end.

%% A message that nobody answers; lost while there is no connection.
-spec publish(binary(), binary()) -> ok.
publish(Subject, Payload) ->
    gen_server:cast(?MODULE, {publish, Subject, Payload}).

init(#{url := Url, name := Name}) ->
    Parts = #{host := Host} = uri_string:parse(Url),
    Login = maps:put(name, Name, login(maps:get(userinfo, Parts, ""))),
    {ok, _} = timer:send_interval(?PING_MS, ping),
    State = #state{
        host = Host,
        port = maps:get(port, Parts, 4222),
        login = Login,
        inbox = <<"_INBOX.", (token())/binary>>
    },
    {ok, State, {continue, connect}}.

login("") -> #{};
login(UserInfo) ->
    case string:split(UserInfo, ":") of
        [User, Password] -> #{user => list_to_binary(User), pass => list_to_binary(Password)};
        [Token] -> #{auth_token => list_to_binary(Token)}
    end.

%% Each process has a seed of its own; an inbox has to be unique, not secret.
token() ->
    binary:encode_hex(rand:bytes(16)).

handle_continue(connect, State) ->
    {noreply, connect(State)}.

handle_call({request, _, _, _, _}, _From, State = #state{up = false}) ->
    {reply, {error, disconnected}, State};
handle_call({request, _, _, _, _}, _From, State) when map_size(State#state.pending) >= ?MAX_PENDING ->
    {reply, {error, overloaded}, State};
handle_call({request, Subject, Headers, Payload, TimeoutMs}, From, State) ->
    #state{next = Next, inbox = Inbox, pending = Pending} = State,
    ReplyTo = <<Inbox/binary, $., (integer_to_binary(Next))/binary>>,
    Timer = erlang:start_timer(TimeoutMs, self(), {request, ReplyTo}),
    Waiting = State#state{next = Next + 1, pending = Pending#{ReplyTo => {From, Timer}}},
    {noreply, send(beamline_nats_wire:publish(Subject, ReplyTo, Headers, Payload), Waiting)}.

handle_cast({publish, _, _}, State = #state{up = false}) ->
    {noreply, State};
handle_cast({publish, Subject, Payload}, State) ->
    {noreply, send(beamline_nats_wire:publish(Subject, <<>>, [], Payload), State)}.

handle_info({tcp, Socket, Bytes}, State = #state{socket = Socket, buffer = Buffer}) ->
    {noreply, listen(read(State#state{buffer = <<Buffer/binary, Bytes/binary>>}))};
handle_info({tcp_closed, Socket}, State = #state{socket = Socket}) ->
    {noreply, disconnect(closed, State)};
handle_info({tcp_error, Socket, Reason}, State = #state{socket = Socket}) ->
    {noreply, disconnect(Reason, State)};
handle_info({timeout, _, {request, ReplyTo}}, State) ->
    {noreply, answer(ReplyTo, {error, timeout}, State)};
handle_info({timeout, _, connect}, State) ->
    {noreply, connect(State)};
handle_info(ping, State = #state{up = false}) ->
    {noreply, State};
handle_info(ping, State = #state{unanswered_pings = Unanswered}) when Unanswered > 0 ->
    {noreply, disconnect(no_pong, State)};
handle_info(ping, State) ->
    {noreply, send(<<"PING\r\n">>, State#state{unanswered_pings = 1})};
handle_info(_OfAnEarlierSocket, State) ->
    {noreply, State}.

connect(State = #state{host = Host, port = Port}) ->
    Options = [binary, {active, once}, {nodelay, true}, {send_timeout, 2000}],
    case gen_tcp:connect(Host, Port, Options, ?CONNECT_MS) of
        {ok, Socket} -> State#state{socket = Socket, buffer = <<>>, unanswered_pings = 0};
        {error, Reason} -> disconnect(Reason, State)
    end.

%% Nobody waits for a reply that cannot come any more, and the next attempt comes after a pause.
disconnect(Reason, State = #state{socket = Socket, pending = Pending, pause = Pause}) ->
    is_port(Socket) andalso gen_tcp:close(Socket),
    State#state.up andalso logger:warning("NATS connection lost: ~p", [Reason]),
    Lost = maps:fold(
        fun(ReplyTo, _, Left) -> answer(ReplyTo, {error, timeout}, Left) end, State, Pending
    ),
    erlang:start_timer(Pause div 2 + rand:uniform(Pause), self(), connect),
    Lost#state{socket = undefined, up = false, pause = min(Pause * 2, ?LONGEST_PAUSE_MS)}.

send(_, State = #state{socket = undefined}) ->
    State;
send(Bytes, State = #state{socket = Socket}) ->
    case gen_tcp:send(Socket, Bytes) of
        ok -> State;
        {error, Reason} -> disconnect(Reason, State)
    end.

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

handle({info, _}, State = #state{up = true}) ->
    State;
handle({info, _}, State = #state{login = Login, inbox = Inbox}) ->
    Hello = [
        beamline_nats_wire:connect(Login),
        beamline_nats_wire:subscribe(<<Inbox/binary, ".*">>, 1),
        <<"PING\r\n">>
    ],
    send(Hello, State);
handle(ping, State) ->
    send(<<"PONG\r\n">>, State);
handle(pong, State) ->
    State#state{up = true, pause = ?FIRST_PAUSE_MS, unanswered_pings = 0};
handle({message, #{subject := ReplyTo, status := 503}}, State) ->
    answer(ReplyTo, {error, no_responders}, State);
handle({message, Message = #{subject := ReplyTo}}, State) ->
    answer(ReplyTo, {ok, Message}, State);
handle({error, Reason}, State) ->
    logger:warning("NATS server says ~ts", [Reason]),
    State;
handle(ok, State) ->
    State.

%% A reply that nobody waits for any more is dropped.
answer(ReplyTo, Answer, State = #state{pending = Pending}) ->
    case maps:take(ReplyTo, Pending) of
        {{From, Timer}, Rest} ->
            _ = erlang:cancel_timer(Timer),
            gen_server:reply(From, Answer),
            State#state{pending = Rest};
        error ->
            State
    end.
