%% What a router asks the registry: which service implements an extension, and to call it.
%%
%% Requests go to the sidecar of the own pod first, and to the group when nobody is there. While no
%% sidecar answers, a lookup is answered with the last record for the same question, and a call goes
%% straight to the subject of that record. The requests run in the caller's process; this server
%% only owns the table.
-module(beamline_registry).
-behaviour(gen_server).

-export([start_link/1, lookup/2, invoke/3]).
-export([lookup_request/2, invoke_request/3, decode/1]).
-export([init/1, handle_call/3, handle_cast/2]).

-type context() :: #{binary() => binary() | number() | boolean()}.
%% Who answered: the sidecar of this pod, any of the group, or the table here.
-type via() :: local | group | cached.
%% What the registry answered instead of success; see section 3 of its documentation.
-type refusal() :: #{code := binary(), number := integer(), details := map()}.
-type failure() :: refusal() | no_responders | timeout | disconnected | overloaded.
-export_type([via/0, failure/0]).

-define(TABLE, ?MODULE).
%% Records kept; when there are more, some of them have to be asked for again.
-define(MAX_CACHED, 10000).
-define(LOOKUP_MS, 500).
%% For a call when the extension's timeout is not known.
-define(INVOKE_MS, 30000).
%% What a reply may take on its way, beside the extension's own time.
-define(MARGIN_MS, 500).
%% The header of an error that is the extension's and not the registry's.
-define(EXTENSION_ERROR, <<"Beamline-Extension-Error">>).
%% Pauses between rounds over both subjects, while a sidecar restarts.
-define(PAUSES_MS, [10, 30]).

%% `Options`: `prefix`, and `instance_id` of the sidecar in this pod (or `undefined`).
-spec start_link(map()) -> gen_server:start_ret().
start_link(Options) ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, Options, []).

%% The record that serves `Id` in this context.
-spec lookup(binary(), context()) -> {ok, map(), via()} | {error, failure()}.
lookup(Id, Context) ->
    case ask(read, lookup_request(Id, Context), [], ?LOOKUP_MS) of
        {ok, Record, Via} ->
            keep({Id, Context}, Record),
            {ok, Record, Via};
        {error, Refusal = #{number := 404}} ->
            %% The registry has said that it is not there: the old record is wrong now.
            forget({Id, Context}),
            {error, Refusal};
        {error, Reason} ->
            case is_away(Reason) of
                true -> cached({Id, Context}, Reason);
                false -> {error, Reason}
            end
    end.

%% Calls extension `Id` and answers its document. After a `timeout` nobody knows whether it was
%% carried out: the caller knows whether it may be repeated.
-spec invoke(binary(), beamline_json:json(), context()) ->
    {ok, beamline_json:json(), via() | direct} | {error, failure()}.
invoke(Id, Payload, Context) ->
    TimeoutMs = patience({Id, Context}),
    Headers = [{<<"Beamline-Deadline-Ms">>, integer_to_binary(TimeoutMs)}],
    case ask(call, invoke_request(Id, Payload, Context), Headers, TimeoutMs + ?MARGIN_MS) of
        {error, no_responders} -> direct(Id, Payload, Context);
        %% With `outcome` the extension has the call already.
        {error, #{code := <<"shutting_down">>, details := Details}} when Details =:= #{} ->
            direct(Id, Payload, Context);
        Answer -> Answer
    end.

%% What all attempts may take together.
patience(Question) ->
    case cached(Question, unknown) of
        {ok, #{<<"timeout_ms">> := TimeoutMs, <<"retry">> := Retry}, cached} ->
            TimeoutMs * (Retry + 1) + ?MARGIN_MS;
        {error, unknown} ->
            ?INVOKE_MS
    end.

%% The requests themselves; subject and payload, as in the golden files.

lookup_request(Id, Context) ->
    {<<"lookup">>, #{id => Id, context => Context}}.

invoke_request(Id, Payload, Context) ->
    {<<"invoke">>, #{id => Id, payload => Payload, context => Context}}.

%% A reply's document, or what the registry or the extension refused it with.
-spec decode(beamline_nats_wire:message()) -> {ok, beamline_json:json()} | {error, refusal()}.
decode(#{headers := Headers, payload := Body}) ->
    Foreign = lists:keymember(?EXTENSION_ERROR, 1, Headers),
    case {lists:keyfind(<<"Nats-Service-Error-Code">>, 1, Headers), beamline_json:decode(Body)} of
        {false, {ok, Document}} -> {ok, Document};
        {false, {error, invalid_json}} -> {error, refusal(<<"invalid_json">>, <<"502">>, #{})};
        %% An extension's own error may have any body, one like the registry's too: whatever it
        %% says, the call was carried out.
        {{_, Number}, _} when Foreign -> {error, refusal(<<"extension">>, Number, #{})};
        {{_, Number}, {ok, #{<<"error">> := #{<<"code">> := Code} = Error}}} ->
            {error, refusal(Code, Number, maps:get(<<"details">>, Error, #{}))};
        {{_, Number}, _} -> {error, refusal(<<"unknown">>, Number, #{})}
    end.

refusal(Code, Number, Details) ->
    #{code => Code, number => number(Number), details => Details}.

%% What an extension has written there may be no number.
number(Text) ->
    try binary_to_integer(Text) catch error:badarg -> 500 end.

%% Asking: the own pod, the group, and both again after a pause, as long as nobody was there.

ask(Kind, {Verb, Arguments}, Headers, TimeoutMs) ->
    Payload = beamline_json:encode(Arguments),
    #{prefix := Prefix, instance_id := InstanceId} = persistent_term:get(?MODULE),
    Local = [{local, <<Prefix/binary, ".local.", InstanceId/binary, $., Verb/binary>>}
             || InstanceId =/= undefined],
    Subjects = Local ++ [{group, <<Prefix/binary, $., Verb/binary>>}],
    Send = fun(Subject) -> beamline_nats:request(Subject, Headers, Payload, TimeoutMs) end,
    rounds(Kind, Subjects, Send, ?PAUSES_MS).

rounds(Kind, Subjects, Send, Pauses) ->
    case {round(Kind, Subjects, Send), Pauses} of
        {{error, no_responders}, [Pause | Rest]} ->
            timer:sleep(Pause),
            rounds(Kind, Subjects, Send, Rest);
        {Answer, _} ->
            Answer
    end.

round(Kind, [{Via, Subject} | Rest], Send) ->
    case answer(Send(Subject)) of
        {ok, Document} ->
            {ok, Document, Via};
        {error, Reason} ->
            case Rest =/= [] andalso is_for_another(Kind, Reason) of
                true -> round(Kind, Rest, Send);
                false -> {error, Reason}
            end
    end.

answer({ok, Reply}) -> decode(Reply);
answer({error, Reason}) -> {error, Reason}.

%% Whether another sidecar may be asked the same. A timeout says nothing about whether a call was
%% carried out, nor does a sidecar that shuts down before the extension has answered; a read may be
%% repeated whatever became of it.
is_for_another(call, timeout) -> false;
is_for_another(call, #{details := #{<<"outcome">> := _}}) -> false;
is_for_another(_, Reason) -> is_away(Reason).

%% Whether this is about the registry rather than about the extension.
is_away(#{code := Code}) -> lists:member(Code, [<<"overloaded">>, <<"shutting_down">>]);
is_away(Reason) -> is_atom(Reason).

%% Without a registry: no retries, no circuit, no instances.
direct(Id, Payload, Context) ->
    case cached({Id, Context}, no_responders) of
        {ok, Record = #{<<"subject">> := Subject, <<"timeout_ms">> := TimeoutMs}, cached} ->
            Body = beamline_json:encode(envelope(Record, Payload, Context)),
            case direct_answer(beamline_nats:request(Subject, [], Body, TimeoutMs)) of
                {ok, Document} -> {ok, Document, direct};
                {error, Reason} -> {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

%% Nobody but the extension answers here.
direct_answer({ok, Reply = #{headers := Headers}}) ->
    decode(Reply#{headers := [{?EXTENSION_ERROR, <<"1">>} | Headers]});
direct_answer({error, Reason}) ->
    {error, Reason}.

%% What the registry would have sent.
envelope(Record, Payload, Context) ->
    Common = #{
        <<"trace_id">> => maps:get(<<"trace_id">>, Context, null),
        <<"tenant_id">> => maps:get(<<"tenant_id">>, Context, null),
        <<"metadata">> => #{},
        <<"config">> => maps:get(<<"config">>, Record)
    },
    case Record of
        #{<<"type">> := <<"provider">>, <<"id">> := Id} ->
            maps:merge(Payload, Common#{<<"provider_id">> => Id});
        _ ->
            Common#{<<"payload">> => Payload}
    end.

%% The table of last answers.

keep(Question, Record) ->
    %% Counted without a lock: a few more than the limit do no harm.
    ets:info(?TABLE, size) < ?MAX_CACHED orelse ets:delete(?TABLE, ets:first(?TABLE)),
    ets:insert(?TABLE, {Question, Record}).

forget(Question) ->
    ets:delete(?TABLE, Question).

cached(Question, Reason) ->
    case ets:lookup(?TABLE, Question) of
        [{_, Record}] -> {ok, Record, cached};
        [] -> {error, Reason}
    end.

init(Options) ->
    persistent_term:put(?MODULE, maps:with([prefix, instance_id], Options)),
    ?TABLE = ets:new(?TABLE, [named_table, public, {read_concurrency, true}]),
    {ok, Options}.

handle_call(_, _, State) ->
    {reply, ok, State}.

handle_cast(_, State) ->
    {noreply, State}.
